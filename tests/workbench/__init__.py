"""What tests share: hosts whose state a test chooses, writers of logs, the monitoring servers' own programs."""
