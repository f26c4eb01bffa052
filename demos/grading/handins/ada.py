from helpers import softmax


def d_Z(W, b, X, T):
    return (softmax(X @ W + b) - T) / len(X)


def d_W(W, b, X, T):
    return X.T @ d_Z(W, b, X, T)


def d_b(W, b, X, T):
    return d_Z(W, b, X, T).sum(axis=0)
