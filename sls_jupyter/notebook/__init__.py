"""The screen: magics, cards, the status block, forms and completion. It parses and shows; the session does."""
