from helpers import softmax


def d_W(W, b, X, T):
    return X.T @ (softmax(X @ W + b) - T)


def d_b(W, b, X, T):
    return (softmax(X @ W + b) - T).mean(axis=0)
