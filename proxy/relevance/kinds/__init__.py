"""What kind of turn a question and each past exchange is, beside how alike they are.

What a question needs cannot always be told by likeness: a plain fact binds it, a contract answers
it, a row of examples shows its form. So each turn is described by its form (how long, who speaks,
which small words, how much of it is code) and its place, and small models learned from labelled
conversations say of what kind it is and how likely the question needs it.
"""
