"""One answer in a chat: asked for, prompted, generated, finished."""
