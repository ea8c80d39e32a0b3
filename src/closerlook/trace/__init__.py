"""The training instances that a span or a shifted word can have come from, and the chance level of finding one."""
