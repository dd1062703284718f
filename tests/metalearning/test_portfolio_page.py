"""The page of the portfolio shows the portfolio as it is."""

from app.metalearning.portfolio import ALGORITHMS, CONFIGURATIONS
from scripts.write_portfolio import PAGE, with_tables


def test_page_shows_todays_portfolio():
    page = PAGE.read_text()
    assert page == with_tables(page), "run: PYTHONPATH=. python scripts/write_portfolio.py"
    assert all(f"| `{name}` |" in page for name in (*ALGORITHMS, *CONFIGURATIONS))
