"""The Anthropic Messages API: schemas, routing, translation, upstreams and views."""
