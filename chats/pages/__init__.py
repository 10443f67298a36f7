"""The chats in the browser: pages, and the fragments of pages that scripts ask for."""
