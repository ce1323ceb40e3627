"""What a webhook is: where it may go, what it says, how it is signed and when it is tried again. Pure."""
