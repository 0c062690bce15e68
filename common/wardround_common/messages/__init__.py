"""What coordinator and hospitals say to each other, and the forms in which it travels."""
