"""One answer in a chat: requested, prompted, generated, finished."""
