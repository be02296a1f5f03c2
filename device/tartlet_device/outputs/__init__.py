"""Telling others what the device sees: files, an MQTT broker, webhooks, Prometheus.

All of it is off until the configuration asks for it. The way of an item::

    publish() -> publisher.Mailbox -> the output's thread -> json_lines
                                                          -> queue_on_disk -> mqtt_sender | webhook
    publish() -> metrics (counted at once)
"""
