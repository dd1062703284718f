"""The page of the metafeatures shows the schema as it is."""

from scripts.write_metafeatures import PAGE, with_tables


def test_page_shows_todays_schema():
    page = PAGE.read_text()
    assert page == with_tables(page), "run: python scripts/write_metafeatures.py"
    assert "`can_cor.mean`, `can_cor.sd`" in page
