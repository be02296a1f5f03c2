"""The whole device at full rate, with every output on, for minutes or hours: does anything grow?

``python -m benchmarks.soak --minutes 60`` starts the daemon behind a real SSH server, a real MQTT
broker, an HTTP receiver, a scraper of its metrics and somebody who watches; takes samples of
memory, descriptors and threads of the daemon and of all processes that it started; and writes
``runs/soak.json`` and ``runs/soak.png``. The exit code is 1 if something grows, dies or is lost.
"""
