"""What is not as it must be, and the way back: content and cells compared with the logs, found again, put right."""
