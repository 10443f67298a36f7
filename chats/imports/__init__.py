"""Files of chats from elsewhere: what they hold, in one form, whoever wrote them."""
