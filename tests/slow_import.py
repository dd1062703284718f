"""What a forkserver is still importing when its owner dies."""

import sys
import time

sys.stdout.write("importing\n")
sys.stdout.flush()
time.sleep(60)
