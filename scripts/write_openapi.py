"""Write openapi.json, the committed contract of the service."""

import json
import tempfile
from pathlib import Path

from app.config import Settings
from app.main import create_app

with tempfile.TemporaryDirectory() as folder:
    document = create_app(Settings(data_dir=Path(folder), database_url=None, redis_url=None)).openapi()
Path("openapi.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
print(f"openapi.json has {len(document['paths'])} paths.")
