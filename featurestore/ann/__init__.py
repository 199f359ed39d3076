"""Search over vectors: exact, and by an index that proposes what exact scores decide. Functions of arrays; knows no catalog."""
