"""What sealed evidence says of a span of time: which nights there were, what was judged, how long each finding stood, who answered for it."""
