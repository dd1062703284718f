"""What a forkserver is still importing when its owner dies."""

import time

print("importing", flush=True)
time.sleep(60)
