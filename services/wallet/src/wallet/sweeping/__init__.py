"""What is due is done by itself: holds and quotes end at their time, by ordinary commands that the sweeper sends."""
