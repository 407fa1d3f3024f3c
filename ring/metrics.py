"""What Prometheus is told of the write process. No plate, no case and no person is in any of it."""

from prometheus_client import Counter, Gauge, Histogram

READS = Counter("ring_reads", "Reads dealt with, by what became of them", ["outcome"])
COMMIT_SECONDS = Histogram(
    "ring_commit_seconds",
    "How long a group of reads took to become durable",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
GROUP_EVENTS = Histogram(
    "ring_group_events",
    "Events stored in one transaction",
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000),
)
COMMITS_FAILED = Counter("ring_commits_failed", "Groups that could not be stored")
ALERTS = Counter("ring_alerts_raised", "Alerts raised", ["delayed"])
WEBHOOK_ATTEMPTS = Counter(
    "ring_webhook_attempts", "Alerts sent to webhooks, by what became of it", ["outcome"]
)
DEAD_LETTERS = Counter("ring_webhook_dead_letters", "Alerts that were given up")
HEAD = Gauge("ring_log_position", "The end of the event log")
MATCHED = Gauge("ring_matched_position", "How far hotlist matching has come")
PROJECTED = Gauge("ring_projected_position", "How far the read side has come, when last heard")
STREAMS = Gauge("ring_reader_streams", "Streams of readers that are open")
SUBSCRIBERS = Gauge("ring_subscribers", "Subscribers of alerts that are there")
WELL = Gauge("ring_part_well", "1 where a part of the server is well, 0 where it is ill", ["part"])
SPOOL_DEPTH = Gauge(
    "ring_reader_spool_depth",
    "Reads that a reader has not had acknowledged, as it says",
    ["reader"],
)
CLOCK_OFFSET = Gauge(
    "ring_reader_clock_offset_seconds", "A reader's clock minus the server's", ["reader"]
)
