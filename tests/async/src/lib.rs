//! Nothing but tests (`tests/`): the dependencies are heavy, so they are not those of event-channel itself.
