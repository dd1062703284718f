"""The embedded worker: `python -m workers PARENT` polls the database, with no broker, and ends when that process does."""

from app.config import Settings, pin_threads

if __name__ == "__main__":
    pin_threads()

    import os
    import signal
    import sys
    import threading
    import time
    from queue import SimpleQueue
    from typing import Any

    from app.logging import configure_logging
    from workers.supervisor import Supervisor

    settings = Settings()
    configure_logging(settings.log_format)
    supervisor = Supervisor(settings)

    # Of an event, this thread could hold the lock that the signal handler, which runs in it, waits for.
    told_to_stop: SimpleQueue[None] = SimpleQueue()

    def stop(*_: Any) -> None:
        """Begin to end; what runs is given back."""
        told_to_stop.put(None)

    def watch_parent(parent: int) -> None:
        """Stop once the process that started this one is gone, were it before this line, so that no worker is left over."""
        while os.getppid() == parent:
            time.sleep(1)
        stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=watch_parent, args=(int(sys.argv[1]),), daemon=True).start()
    supervisor.start()
    told_to_stop.get()
    supervisor.leave()
