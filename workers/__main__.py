"""The embedded worker: `python -m workers PARENT` polls the database, with no broker, and ends when that process does."""

from app.config import Settings, pin_threads

if __name__ == "__main__":
    pin_threads()

    import os
    import signal
    import sys
    import threading
    import time
    from typing import Any

    from app.logging import configure_logging
    from workers.supervisor import Supervisor

    settings = Settings()
    configure_logging(settings.log_format)
    supervisor = Supervisor(settings)

    def stop(*_: Any) -> None:
        """Stop claiming and give running tasks back."""
        supervisor.stop()

    def watch_parent(parent: int) -> None:
        """Stop once the process that started this one is gone, were it before this line, so that no worker is left over."""
        while os.getppid() == parent:
            time.sleep(1)
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=watch_parent, args=(int(sys.argv[1]),), daemon=True).start()
    supervisor.start()
    supervisor.poll_until_stopped()
    supervisor.leave()
