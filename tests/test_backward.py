"""Backward passes in the styles in which people write them, right and wrong."""

import linecache

import numpy as np
import pytest

from autograd_mini import check_backward, check_vjp
from autograd_mini.check.subjects.binding import Passes

random = np.random.default_rng(3)
X, W, B = random.standard_normal((3, 4)), random.standard_normal((4, 5)), random.standard_normal(5)
AT = {"x": X, "W": W, "b": B}
GAIN = np.array([0.5, -1.5, 0.75, 1.25])
HISTORY = {"calls": 0}
MASK = None


def verdicts(*given, **options):
    report = check_backward(*given, **options)
    assert not any("could not follow" in remark for remark in report.remarks), report.remarks
    return report.sections


RIGHT = dict.fromkeys(("x", "W", "b"), "agrees")


# --- functions with a cache ---------------------------------------------------------------------------


def affine_forward(x, W, b):
    out = np.tanh(x @ W + b)
    cache = (x, W, out)
    return out, cache


def affine_backward(dout, cache):
    x, W, out = cache
    dz = dout * (1 - out**2)
    dx = dz @ W.T
    dW = x.T @ dz
    db = dz.sum(axis=0)
    return dx, dW, db


def test_a_cache_that_is_a_tuple():
    report = check_backward(affine_forward, affine_backward, at=AT)
    assert report.sections == RIGHT
    assert "dW is ∂L/∂W" in report.remarks


def test_results_are_known_by_their_names_and_not_by_their_place():
    def backward(dout, cache):
        dx, dW, db = affine_backward(dout, cache)
        return db, dx, dW

    assert verdicts(affine_forward, backward, at=AT) == RIGHT


def test_a_wrong_gradient_is_wrong_alone():
    def backward(dout, cache):
        dx, dW, db = affine_backward(dout, cache)
        return dx, 2 * dW, db

    wrong = {**RIGHT, "W": "disagrees"}
    assert verdicts(affine_forward, backward, at=AT, diagnosis=0) == wrong
    assert verdicts(affine_forward, backward, at=AT, gradients={"W": 1}, diagnosis=0) == wrong
    assert verdicts(affine_forward, backward, at=AT, wrt=["b", "x"]) == {"x": "agrees", "b": "agrees"}


def test_a_cache_that_is_a_dict_and_gradients_in_a_dict():
    def forward(x, params):
        z = x @ params["W1"] + params["b1"]
        h = np.maximum(z, 0)
        return h @ params["W2"], {"z": z, "h": h, "x": x}

    def backward(grad_output, cache, params):
        grads = {}
        grads["W2"] = cache["h"].T @ grad_output
        dz = (grad_output @ params["W2"].T) * (cache["z"] > 0)
        grads["W1"] = cache["x"].T @ dz
        grads["b1"] = dz.sum(0)
        return grads

    params = {"W1": W, "b1": B, "W2": random.standard_normal((5, 2))}
    found = verdicts(forward, backward, at={"x": X, "params": params})
    assert found == {"params['W1']": "agrees", "params['b1']": "agrees", "params['W2']": "agrees"}


def test_a_cache_that_is_an_object():
    class Cache:
        pass

    def forward(x, gamma):
        cache = Cache()
        cache.x, cache.gamma = x, gamma
        return np.sin(gamma * x), cache

    def backward(d, cache):
        grad_x = d * cache.gamma * np.cos(cache.gamma * cache.x)
        grad_gamma = np.sum(d * cache.x * np.cos(cache.gamma * cache.x))
        return grad_gamma, grad_x

    assert verdicts(forward, backward, at={"x": X, "gamma": 0.75}) == {"x": "agrees", "gamma": "agrees"}


def test_intermediates_that_are_returned_by_name():
    def forward(x, W):
        z = x @ W
        a = 1 / (1 + np.exp(-z))
        return a, z

    def backward(da, x, W, z):
        s = 1 / (1 + np.exp(-z))
        dz = da * s * (1 - s)
        return dz @ W.T, x.T @ dz

    assert verdicts(forward, backward, at={"x": X, "W": W}) == {"x": "agrees", "W": "agrees"}


WITHIN = {
    "a tuple": "return loss, (hs, ps)",
    "a tuple that has a name": "cache = hs, ps\n    return loss, cache",
    "a dict": "return loss, {'hs': hs, 'ps': ps}",
}


@pytest.mark.parametrize("way", WITHIN)
def test_backward_takes_by_name_what_stands_in_a_tuple_or_a_dict(way):
    text = f"""
def forward(xs, ts, U, W, V):
    h, hs, ps, loss = np.zeros(4), [], [], 0.0
    for x, t in zip(xs, ts):
        h = np.tanh(x @ U + h @ W)
        p = np.exp(h @ V) / np.sum(np.exp(h @ V))
        loss = loss - np.log(p[t])
        hs.append(h)
        ps.append(p)
    {WITHIN[way]}
def backward(xs, ts, U, W, V, ps, hs):
    dU, dW, dV, carried = np.zeros_like(U), np.zeros_like(W), np.zeros_like(V), np.zeros(4)
    for t in reversed(range(len(xs))):
        dy = ps[t].copy()
        dy[ts[t]] -= 1
        da = (V @ dy + carried) * (1 - hs[t] ** 2)
        dU += np.outer(xs[t], da)
        dW += np.outer(hs[t - 1] if t else np.zeros(4), da)
        dV += np.outer(hs[t], dy)
        carried = W @ da
    return dU, dW, dV
"""
    name = f"<{way}>"
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    names = {"np": np, "__name__": "passes"}
    exec(compile(text, name, "exec"), names)
    at = {"U": (2, 4), "W": (4, 4), "V": (4, 3), "xs": (3, 2)}
    at = {k: random.standard_normal(shape) for k, shape in at.items()}
    report = check_backward(names["forward"], names["backward"], at={**at, "ts": [0, 2, 1]}, wrt=list("UWV"))
    assert report.sections == dict.fromkeys("UWV", "agrees")


def test_residuals_come_first():
    def fwd(x, y):
        return np.sin(x) * y, (np.cos(x), np.sin(x), y)

    def bwd(res, g):
        cos_x, sin_x, y = res
        return (cos_x * g * y, sin_x * g)

    assert verdicts(fwd, bwd, at={"x": X, "y": X.copy() + 1}) == {"x": "agrees", "y": "agrees"}


def test_a_context_is_handed_over():
    class Exp:
        @staticmethod
        def forward(ctx, x):
            result = np.exp(x)
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, grad_output):
            (result,) = ctx.saved_tensors
            return grad_output * result

    assert verdicts(Exp, at={"x": X}) == {"x": "agrees"}
    assert verdicts(Exp.forward, Exp.backward, at=X) == {"x": "agrees"}


def test_several_outputs_have_several_cotangents():
    def step(x, h, c, W):
        z = np.tanh(x @ W + h)
        next_c = c * z
        next_h = np.sin(next_c)
        cache = (x, c, W, z, next_c)
        return next_h, next_c, cache

    def step_backward(dnext_h, dnext_c, cache):
        x, c, W, z, next_c = cache
        dc_total = dnext_c + dnext_h * np.cos(next_c)
        dz = dc_total * c * (1 - z**2)
        return dz @ W.T, dz, dc_total * z, x.T @ dz

    at = {"x": X, "h": X @ W, "c": X @ W + 1, "W": W}
    report = check_backward(step, step_backward, at=at)
    assert report.sections == dict.fromkeys("xhcW", "agrees")

    def forgets(dnext_h, dnext_c, cache):
        return step_backward(dnext_h, 0 * dnext_c, cache)

    assert set(check_backward(step, forgets, at=at, gradients={"x": 0, "W": 3}).sections.values()) == {
        "disagrees"
    }


# --- one function -------------------------------------------------------------------------------------


def softmax_loss(x, y):
    shifted = x - x.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    n = x.shape[0]
    loss = -np.log(p[np.arange(n), y]).mean()
    dx = p.copy()
    dx[np.arange(n), y] -= 1
    dx /= n
    return loss, dx


def test_loss_and_gradient_in_one():
    at = {"x": X, "y": np.array([0, 3, 1])}
    assert verdicts(softmax_loss, at=at) == {"x": "agrees"}

    def forgets_n(x, y):
        loss, dx = softmax_loss(x, y)
        return loss, len(x) * dx

    report = check_backward(forgets_n, at=at, gradients={"x": 1})
    assert report.sections == {"x": "disagrees"}


def test_loss_and_gradients_of_a_net():
    class Net:
        def __init__(self):
            self.params = {"W1": W.copy(), "b1": B.copy()}

        def loss(self, x, y=None, reg=0.0):
            W1, b1 = self.params["W1"], self.params["b1"]
            scores = x @ W1 + b1
            if y is None:
                return scores
            loss, dscores = softmax_loss(scores, y)
            loss += 0.5 * reg * np.sum(W1 * W1)
            grads = {"W1": x.T @ dscores + reg * W1, "b1": dscores.sum(axis=0)}
            return loss, grads

    net = Net()
    at = {"x": X, "y": np.array([0, 4, 1]), "reg": 0.25}
    assert verdicts(net.loss, at=at) == {"params['W1']": "agrees", "params['b1']": "agrees"}
    assert verdicts(net, at=at) == {"params['W1']": "agrees", "params['b1']": "agrees"}
    assert np.array_equal(net.params["W1"], W)


def test_parameters_that_are_variables():
    Wxh, Whh, bh = random.standard_normal((5, 2)), random.standard_normal((5, 5)), np.zeros((5, 1))

    def loss_function(inputs, targets, hprev):
        hs, loss = {-1: np.copy(hprev)}, 0
        for t in range(len(inputs)):
            hs[t] = np.tanh(Wxh @ inputs[t] + Whh @ hs[t - 1] + bh)
            loss += 0.5 * np.sum((hs[t] - targets[t]) ** 2)
        dWxh, dWhh, dbh = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(bh)
        dhnext = np.zeros_like(hs[0])
        for t in reversed(range(len(inputs))):
            dh = hs[t] - targets[t] + dhnext
            draw = (1 - hs[t] * hs[t]) * dh
            dbh += draw
            dWxh += draw @ inputs[t].T
            dWhh += draw @ hs[t - 1].T
            dhnext = Whh.T @ draw
        return loss, dWxh, dWhh, dbh, hs[len(inputs) - 1]

    shapes = {"inputs": (3, 2, 1), "targets": (3, 5, 1), "hprev": (5, 1)}
    at = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    assert verdicts(loss_function, at=at) == dict.fromkeys(("Wxh", "Whh", "bh"), "agrees")


# --- classes ------------------------------------------------------------------------------------------


class Linear:
    def __init__(self, n_in, n_out):
        self.W = np.random.default_rng(0).standard_normal((n_in, n_out))
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


def test_a_class_and_an_instance():
    layer = Linear(4, 5)
    before = {name: x.copy() for name, x in vars(layer).items()}
    assert verdicts(Linear, at={"n_in": 4, "n_out": 5, "x": X}) == RIGHT
    assert verdicts(layer, at=X) == RIGHT
    assert verdicts(layer.forward, layer.backward, at={"x": X}) == RIGHT
    assert vars(layer).keys() == before.keys()
    assert all(np.array_equal(x, getattr(layer, name)) for name, x in before.items())


def test_attributes_can_be_given():
    assert verdicts(Linear(4, 5), at={"x": X, "W": W, "b": B}) == RIGHT


def test_a_wrong_layer():
    class Forgets(Linear):
        def backward(self, dout):
            self.dW = self.x.T @ dout
            self.db = dout.mean(axis=0)
            return dout @ self.W.T

    report = check_backward(Forgets(4, 5), at=X)
    assert report.sections == {**RIGHT, "b": "disagrees"}


NAMES = (
    "dweights grad_weights weights_grad weights_gradient delta_weights gradWeights dL_dweights d_weights "
    "nabla_weights dW"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_gradients_by_any_name(name):
    class Dense:
        def __init__(self):
            self.weights = W.copy()

        def forward(self, inputs):
            self.inputs = inputs
            return inputs @ self.weights

        def backward(self, dvalues):
            setattr(self, name, self.inputs.T @ dvalues)
            self.dinputs = dvalues @ self.weights.T

    assert verdicts(Dense(), at=X) == {"inputs": "agrees", "weights": "agrees"}


def test_parameters_and_gradients_in_dicts():
    class Layer:
        def __init__(self):
            self.params = {"W": W.copy(), "b": B.copy()}
            self.grads = {}

        def __call__(self, x):
            self.cache = x
            return x @ self.params["W"] + self.params["b"]

        def backward(self, grad):
            self.grads["W"] = self.cache.T @ grad
            self.grads["b"] = np.sum(grad, axis=0)
            return grad @ self.params["W"].T

    assert verdicts(Layer(), at=X) == {"x": "agrees", "params['W']": "agrees", "params['b']": "agrees"}


def test_parameters_and_gradients_in_lists():
    class Net:
        def __init__(self):
            self.sizes = [4, 5, 2]
            self.weights = [W.copy(), random.standard_normal((5, 2))]
            self.biases = [B.copy(), np.zeros(2)]

        def feedforward(self, x):
            return np.tanh(np.tanh(x @ self.weights[0] + self.biases[0]) @ self.weights[1] + self.biases[1])

        def backprop(self, x, y):
            nabla_w = [np.zeros(w.shape) for w in self.weights]
            nabla_b = [np.zeros(b.shape) for b in self.biases]
            activations = [x]
            for w, b in zip(self.weights, self.biases, strict=True):
                activations.append(np.tanh(activations[-1] @ w + b))
            delta = (activations[-1] - y) * (1 - activations[-1] ** 2)
            for k in (1, 0):
                nabla_w[k] = activations[k].T @ delta
                nabla_b[k] = delta.sum(axis=0)
                if k:
                    delta = (delta @ self.weights[k].T) * (1 - activations[k] ** 2)
            return nabla_b, nabla_w

    found = verdicts(
        Net(), at={"x": X, "y": np.ones((3, 2))}, loss=lambda out, y: 0.5 * np.sum((out - y) ** 2)
    )
    assert found == dict.fromkeys(("weights[0]", "weights[1]", "biases[0]", "biases[1]"), "agrees")


def test_a_parameter_with_its_own_gradient():
    class Parameter:
        def __init__(self, value):
            self.value = value
            self.grad = np.zeros_like(value)

    class Layer:
        def __init__(self):
            self.W, self.b = Parameter(W.copy()), Parameter(B.copy())

        def forward(self, x):
            self.x = x
            return x @ self.W.value + self.b.value

        def backward(self, dy):
            self.W.grad += self.x.T @ dy
            self.b.grad += dy.sum(0)
            return dy @ self.W.value.T

    assert verdicts(Layer(), at=X) == {"x": "agrees", "W.value": "agrees", "b.value": "agrees"}


def test_an_array_in_two_places_is_one_parameter():
    class Affine:
        def __init__(self, W, b):
            self.params = [W, b]
            self.grads = [np.zeros_like(W), np.zeros_like(b)]
            self.W = W

        def forward(self, x):
            _, b = self.params
            self.x = x
            return x @ self.W + b

        def backward(self, dout):
            self.grads[0][...] = self.x.T @ dout
            self.grads[1][...] = np.sum(dout, axis=0)
            return dout @ self.params[0].T

    found = verdicts(Affine, at={"W": W, "b": B, "x": X})
    assert found == {"x": "agrees", "params[0]": "agrees", "params[1]": "agrees"}


def test_layers_in_a_list():
    class Net:
        def __init__(self):
            self.layers = [Linear(4, 3), Linear(3, 2)]

        def forward(self, x):
            for layer in self.layers:
                x = layer.forward(x)
            return x

        def backward(self, grad):
            for layer in reversed(self.layers):
                grad = layer.backward(grad)
            return grad

    found = verdicts(Net(), at=X)
    assert found == dict.fromkeys(("x", "layers[0].W", "layers[0].b", "layers[1].W", "layers[1].b"), "agrees")


@pytest.mark.parametrize("rate", [{}, {"learning_rate": 0.1}])
def test_a_step_inside_backward(rate):
    class Layer:
        def __init__(self):
            self.weights = W.copy()
            self.bias = B.copy()

        def forward(self, x):
            self.x = x
            return x @ self.weights + self.bias

        def backward(self, grad, learning_rate):
            grad_x = grad @ self.weights.T
            self.weights -= learning_rate * self.x.T @ grad
            self.bias -= learning_rate * grad.sum(axis=0)
            return grad_x

    layer = Layer()
    assert verdicts(layer, at={"x": X, **rate}) == {"x": "agrees", "weights": "agrees", "bias": "agrees"}
    assert np.array_equal(layer.weights, W)


def test_a_step_at_a_rate_of_the_instance_in_the_wrong_order():
    class Layer:
        def __init__(self):
            self.W, self.lr = W.copy(), 0.05

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, grad):
            self.W = self.W - self.lr * self.x.T @ grad
            return grad @ self.W.T  # of the parameters after the step

    assert check_backward(Layer(), at=X, diagnosis=0).sections == {"x": "disagrees", "W": "agrees"}


def test_the_loss_that_backward_starts_from():
    def model_forward(X, params):
        Z1 = params["W1"] @ X + params["b1"]
        A1 = np.tanh(Z1)
        A2 = 1 / (1 + np.exp(-(params["W2"] @ A1 + params["b2"])))
        return A2, {"Z1": Z1, "A1": A1, "A2": A2}

    def model_backward(params, cache, X, Y):
        m = X.shape[1]
        dZ2 = cache["A2"] - Y
        dW2 = dZ2 @ cache["A1"].T / m
        db2 = np.sum(dZ2, axis=1, keepdims=True) / m
        dZ1 = (params["W2"].T @ dZ2) * (1 - cache["A1"] ** 2)
        dW1 = dZ1 @ X.T / m
        db1 = np.sum(dZ1, axis=1, keepdims=True) / m
        return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}

    def cost(A2, Y):
        return -np.mean(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))

    params = {"W1": random.standard_normal((4, 3)), "b1": np.zeros((4, 1)),
              "W2": random.standard_normal((1, 4)), "b2": np.zeros((1, 1))}  # fmt: skip
    at = {"X": random.standard_normal((3, 5)), "Y": np.array([[0, 1, 1, 0, 1]]), "params": params}
    assert set(verdicts(model_forward, model_backward, at=at, loss=cost).values()) == {"agrees"}
    with pytest.raises(TypeError, match=r"give the loss that it starts from, loss="):
        check_backward(model_forward, model_backward, at=at)


# --- state over time ----------------------------------------------------------------------------------


def test_states_over_time_in_lists():
    class Recurrent:
        def __init__(self):
            self.Wx, self.Wh, self.b = W.copy(), random.standard_normal((5, 5)) / 3, B.copy()

        def forward(self, xs, h_prev):
            self.xs, self.hs = xs, [h_prev]
            for x in xs:
                self.hs.append(np.tanh(x @ self.Wx + self.hs[-1] @ self.Wh + self.b))
            return self.hs[1:]

        def backward(self, dhs):
            self.dWx, self.dWh, self.db = (np.zeros_like(p) for p in (self.Wx, self.Wh, self.b))
            dxs = [None] * len(self.xs)
            carried = np.zeros_like(self.hs[0])
            for t in reversed(range(len(self.xs))):
                draw = (dhs[t] + carried) * (1 - self.hs[t + 1] ** 2)
                dxs[t] = draw @ self.Wx.T
                self.dWx += np.outer(self.xs[t], draw)
                self.dWh += np.outer(self.hs[t], draw)
                self.db += draw
                carried = self.Wh @ draw
            dh_prev = carried
            return dxs, dh_prev

    found = verdicts(Recurrent(), at={"xs": list(X), "h_prev": B})
    names = ("xs[0]", "xs[1]", "xs[2]", "h_prev", "Wx", "Wh", "b")
    assert found == dict.fromkeys(names, "agrees")
    assert verdicts(Recurrent(), at={"xs": X, "h_prev": B}).keys() == {"xs", *names[3:]}


def test_a_batch_normalization_that_keeps_statistics():
    class BatchNorm:
        def __init__(self):
            self.gamma, self.beta = GAIN.copy(), np.zeros(4)
            self.running_mean = np.zeros(4)

        def forward(self, x):
            self.mu, self.var = x.mean(axis=0), x.var(axis=0)
            self.running_mean = 0.9 * self.running_mean + 0.1 * self.mu
            self.xhat = (x - self.mu) / np.sqrt(self.var + 1e-5)
            return self.gamma * self.xhat + self.beta

        def backward(self, dout):
            n = len(dout)
            self.dgamma = np.sum(dout * self.xhat, axis=0)
            self.dbeta = np.sum(dout, axis=0)
            d = dout * self.gamma
            return (n * d - d.sum(0) - self.xhat * np.sum(d * self.xhat, 0)) / (n * np.sqrt(self.var + 1e-5))

    assert verdicts(BatchNorm(), at=X) == {"x": "agrees", "gamma": "agrees", "beta": "agrees"}


def test_dropout_is_drawn_alike():
    class Dropout:
        def forward(self, x):
            self.mask = (np.random.rand(*x.shape) < 0.5) / 0.5
            return x * self.mask

        def backward(self, dout):
            return dout * self.mask

    state = np.random.get_state()[1].copy()
    assert verdicts(Dropout, at=X) == {"x": "agrees"}
    assert np.array_equal(np.random.get_state()[1], state)


# --- derivatives of elements --------------------------------------------------------------------------


def test_the_derivative_of_each_element():
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def sigmoid_prime(z):
        return sigmoid(z) * (1 - sigmoid(z))

    assert verdicts(sigmoid, sigmoid_prime, at=X) == {"z": "agrees"}
    report = check_backward(np.tanh, lambda x: 1 - np.tanh(x), at=X)
    assert report.sections == {"x": "disagrees"}


# --- what leaves a choice is an error -----------------------------------------------------------------


def test_shapes_that_are_those_of_others():
    with pytest.raises(TypeError, match="in another order"):
        check_backward(lambda x, b: x + b, lambda g: (g.sum(0), g), at={"x": X, "b": GAIN})
    report = check_backward(
        lambda x, b: x + b, lambda g: (g.sum(0), g), at={"x": X, "b": GAIN}, gradients={"x": 1, "b": 0}
    )
    assert report.sections == {"x": "agrees", "b": "agrees"}


def test_two_gradients_of_one_name():
    class Twice(Linear):
        def backward(self, dout):
            self.grad_W = dout.T @ self.x
            return super().backward(dout)

    with pytest.raises(TypeError, match=r"the gradient of W may be grad_W or dW.*gradients="):
        check_backward(Twice(4, 5), at=X)
    assert check_backward(Twice(4, 5), at=X, gradients={"W": "dW"}).sections == RIGHT


def test_what_nothing_says():
    with pytest.raises(TypeError, match="no gradient was found"):
        check_backward(lambda x: np.sin(x), lambda dout: None, at=X)
    with pytest.raises(TypeError, match="what q should be is not known"):
        check_backward(lambda x: np.sin(x), lambda dout, x, q: dout * np.cos(x), at=X)
    with pytest.raises(TypeError, match="at= gives q"):
        check_backward(affine_forward, affine_backward, at={**AT, "q": 1.0})
    with pytest.raises(TypeError, match="b is missing"):
        check_backward(affine_forward, affine_backward, at={"x": X, "W": W})
    with pytest.raises(ValueError, match="there is no 'q'; there are x, W, b"):
        check_backward(affine_forward, affine_backward, at=AT, wrt="q")


def test_the_module_is_untouched():
    def forward(x):
        HISTORY["calls"] += 1
        HISTORY["x"] = x
        return GAIN * x

    def backward(dout):
        return dout * GAIN, np.sum(dout * HISTORY["x"], axis=0)

    report = check_backward(forward, backward, at=X, gradients={"x": 0, "GAIN": 1})
    assert report.sections == {"x": "agrees", "GAIN": "agrees"}
    assert HISTORY == {"calls": 0}


def test_a_pure_backward_pass_goes_by_its_old_name():
    assert check_vjp is check_backward


def test_a_result_that_is_called_otherwise_is_no_gradient_of_an_attribute():
    class Net:
        def __init__(self, x, t):
            self.x, self.t, self.weights = x, t, [np.ones((4, 3)), np.ones((3, 1))]

        def loss(self):
            h = np.tanh(self.x @ self.weights[0])
            y = h @ self.weights[1]
            error = y - self.t
            dh = error @ self.weights[1].T * (1 - h**2)
            loss_weights = [self.x.T @ dh, h.T @ error]
            return np.sum(error**2) / 2, loss_weights, y

    report = check_backward(Net(random.standard_normal((5, 4)), random.standard_normal((5, 1))).loss, at={})
    assert report.sections == {"weights[0]": "agrees", "weights[1]": "agrees"}


# --- no right one is blamed ---------------------------------------------------------------------------


class Accumulating(Linear):
    def __init__(self):
        super().__init__(4, 5)
        self.dW, self.db = np.zeros((4, 5)), np.zeros(5)

    def backward(self, dout):
        self.dW += self.x.T @ dout
        self.db += dout.sum(axis=0)
        return dout @ self.W.T


def test_what_an_earlier_pass_has_left_is_not_counted():
    layer = Accumulating()
    layer.forward(X)
    layer.backward(np.ones((3, 5)))
    assert verdicts(layer, at=X) == RIGHT
    assert layer.dW.any()


def test_a_gradient_that_is_never_set_is_wrong_and_one_that_is_not_there_is_said():
    class NeverSet(Accumulating):
        def backward(self, dout):
            self.dW = self.x.T @ dout

    class NotThere(Linear):
        def backward(self, dout):
            self.dW = self.x.T @ dout

    assert check_backward(NeverSet(), at=X).sections == {"W": "agrees", "b": "disagrees"}
    report = check_backward(NotThere(4, 5), at=X)
    assert report.sections == {"W": "agrees"}
    assert "no gradient is given of b" in report.remarks


@pytest.mark.parametrize("factor", [0.01, 1.0, 0.01 / 3])
def test_a_rate_that_has_no_name_is_what_the_step_says(factor):
    class Layer(Linear):
        def backward(self, dout):
            dx = dout @ self.W.T
            self.W, self.b = self.W - factor * self.x.T @ dout, self.b - factor * dout.sum(axis=0)
            return dx

    report = check_backward(Layer(4, 5), at=X)
    assert report.sections == RIGHT
    assert any(f"the rate of the steps is taken to be {factor:g}" in remark for remark in report.remarks)


def test_steps_at_two_rates_are_not_those_of_one_loss():
    class Layer(Linear):
        def backward(self, dout):
            self.W -= 0.1 * self.x.T @ dout / len(dout)
            self.b -= 0.1 * dout.sum(axis=0)

    assert "disagrees" in check_backward(Layer(4, 5), at=X, diagnosis=0).sections.values()


def test_a_number_that_backward_returns_is_no_gradient():
    class Layer(Linear):
        def backward(self, dout):
            super().backward(dout)
            return float(np.linalg.norm(dout))

    report = check_backward(Layer(4, 5), at=X)
    assert report.sections == {"W": "agrees", "b": "agrees"}
    assert "the number that backward returns is not compared" in report.remarks


def test_a_name_for_the_input_and_the_output():
    def step(x, h, W):
        h = np.tanh(x @ W + h)
        return h

    def backward(dh, x, h, W):
        dz = dh * (1 - h**2)
        return dz @ W.T, dz, x.T @ dz

    at = {"x": X, "h": X @ W, "W": W}
    with pytest.raises(TypeError, match="say with out='h' that it is the latter"):
        check_backward(step, backward, at=at)
    assert verdicts(step, backward, at=at, out="h") == dict.fromkeys("xhW", "agrees")
    report = check_backward(step, backward, at=at, out="out", diagnosis=0)
    assert set(report.sections.values()) == {"disagrees"}


def test_loss_layers():
    class CrossEntropy:
        def forward(self, z, y):
            self.y = y
            loss, self.dz = softmax_loss(z, y)
            return loss

        def backward(self, dout=1):
            return dout * self.dz

    assert verdicts(CrossEntropy, at={"z": X, "y": np.array([0, 3, 1])}) == {"z": "agrees"}


def test_a_loss_whose_backward_takes_the_prediction():
    class Squared:
        def calculate(self, output, y):
            return np.mean((output - y) ** 2)

        def backward(self, dvalues, y_true):
            self.dinputs = 2 * (dvalues - y_true) / dvalues.size

    loss = Squared()
    report = check_backward(
        loss.calculate,
        lambda output, y: loss.backward(output, y),
        at={"output": X, "y": X + 1},
        gradients={"output": "dinputs"},
    )
    assert report.sections == {"output": "agrees"}


@pytest.mark.parametrize("y_pred", [[[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]], [[0.9, 0.95], [0.02, 0.5]], 0.999])
def test_probabilities_that_are_clipped_stay_between_0_and_1(y_pred):
    def loss(y_pred):
        return -np.sum(np.log(np.clip(y_pred, 1e-7, 1 - 1e-7)))

    def backward(y_pred):
        return -1 / y_pred

    assert verdicts(loss, backward, at={"y_pred": y_pred}) == {"y_pred": "agrees"}


def test_activations_that_are_objects():
    class Square:
        def __call__(self, x):
            return x**2

        def derivative(self, x):
            return 2 * x

    assert verdicts(Square(), at=X) == {"x": "agrees"}


def test_several_results_need_a_word():
    def attention(q, k):
        p = np.exp(q @ k.T)
        return p @ k, p

    with pytest.raises(
        TypeError, match=r"forward gives 2 results \(…, p\), and backward takes \(dout, q, k\)"
    ):
        check_backward(attention, lambda dout, q, k: (dout, dout), at={"q": X, "k": X})
    found = check_backward(
        attention,
        lambda dp, q, k: (dp * np.exp(q @ k.T) @ k, (dp * np.exp(q @ k.T)).T @ q),
        at={"q": X, "k": X + 0.5},
        out="p",
    )
    assert found.sections == {"q": "agrees", "k": "agrees"}


def test_results_that_might_be_taken_in_another_order():
    def forward(x, y):
        h, c = np.sin(x), np.cos(y)
        return h * c, h, c

    def backward(dout, first, second):
        return dout * second, dout * first

    with pytest.raises(TypeError, match="what first, second should be is not known"):
        check_backward(forward, backward, at={"x": X, "y": X})

    def cached(dout, h_, c_):
        return dout * c_ * np.sqrt(1 - h_**2), dout * h_ * -np.sqrt(1 - c_**2)

    at = {"x": abs(X) / 3, "y": abs(X) / 3}
    assert verdicts(forward, cached, at=at, domain={"x": (0.1, 1), "y": (0.1, 1)}).keys() == {"x", "y"}


def test_passes_of_jax():
    jax = pytest.importorskip("jax")

    def fwd(x, y):
        return jax.numpy.sin(x) * y, (jax.numpy.cos(x), jax.numpy.sin(x), y)

    def bwd(residuals, g):
        cos_x, sin_x, y = residuals
        return cos_x * g * y, sin_x * g

    at = {"x": X, "y": X + 1}
    assert check_backward(fwd, bwd, at=at, points=1).sections == {"x": "agrees", "y": "agrees"}
    wrong = check_backward(fwd, lambda res, g: (bwd(res, g)[0], g), at=at, points=1, diagnosis=0)
    assert wrong.sections == {"x": "agrees", "y": "disagrees"}


def test_passes_are_functions_of_arguments_by_name():
    layer = Linear(4, 5)
    passes = Passes(layer, at={"x": X, "W": W})
    assert passes.wrt == ("x", "W", "b")
    assert passes.roots == (Linear.forward, Linear.backward)
    called = []

    def watched(f):
        called.append(f.__name__)
        return f

    output, state = passes.forward({"x": X, "W": 2 * W, "b": B}, watched)
    assert np.array_equal(output, X @ (2 * W) + B)
    for factor in (1.0, 3.0):  # a state is left as it is
        found = passes.backward(state, factor * np.ones((3, 5)), passes.arguments, watched)
        np.testing.assert_allclose(found["W"], factor * X.T @ np.ones((3, 5)))
        np.testing.assert_allclose(found["x"], factor * np.ones((3, 5)) @ (2 * W).T)
    assert called == ["forward", "backward", "backward"]
    assert not hasattr(layer, "dW")


def test_what_keeps_no_seed_is_inconclusive():
    def forward(x):
        mask = np.random.default_rng().random(x.shape) < 0.5
        return x * mask, mask

    report = check_backward(forward, lambda dout, mask: dout * mask, at=X, points=0)
    assert report.verdict == "inconclusive"


def test_a_mask_that_backward_draws_again_is_another():
    def forward(x, keep):
        global MASK
        MASK = (np.random.rand(*x.shape) < keep) / keep
        return x * MASK

    def drawn_again(dout, x, keep):
        return dout * (np.random.rand(*x.shape) < keep) / keep

    def saved(dout):
        return dout * MASK

    at = {"x": X, "keep": 0.5}
    assert verdicts(forward, saved, at=at) == {"x": "agrees"}
    assert check_backward(forward, drawn_again, at=at, diagnosis=0.1).verdict == "disagrees"


def test_what_is_returned_alone_is_number_0():
    class Recurrent:
        def __init__(self, W):
            self.W = W

        def forward(self, xs, h):
            self.hs = [h]
            for x in xs:
                self.hs.append(np.tanh(x + self.W @ self.hs[-1]))
            return self.hs[-1]

        def backward(self, dh):
            self.dW = np.zeros_like(self.W)
            for t in reversed(range(1, len(self.hs))):
                da = dh * (1 - self.hs[t] ** 2)
                self.dW += np.outer(da, self.hs[t - 1])
                dh = self.W.T @ da
            return dh

    at = {"W": W[:, :4] / 2, "xs": X, "h": GAIN}
    found = verdicts(Recurrent, at=at, gradients={"h": 0})
    assert found == {"h": "agrees", "W": "agrees"}


def test_a_gradient_whose_shape_alone_is_wrong_is_answered():
    def backward(dout, x, W, b):
        dz = dout * (1 - np.tanh(x @ W + b) ** 2)
        return dz @ W.T, x.T @ dz, dz.sum(axis=0, keepdims=True)

    def forward(x, W, b):
        return np.tanh(x @ W + b)

    report = check_backward(forward, backward, at=AT)
    assert report.sections == {**RIGHT, "b": "disagrees"}
    assert "the wrong shape: expected (5,), got (1, 5)" in str(report)
    assert "✗ should" not in str(report)


def test_the_rate_of_steps_is_that_of_one_that_is_right():
    class Net:
        def __init__(self, W1, W2):
            self.W1, self.W2 = W1, W2

        def forward(self, x):
            self.x, self.h = x, np.tanh(x @ self.W1)
            return self.h @ self.W2

        def backward(self, dout):
            dW2 = self.h.T @ dout
            dh = dout @ self.W2.T * (1 - self.h)
            self.W1 -= 0.1 * self.x.T @ dh
            self.W2 -= 0.1 * dW2

    at = {"W1": W, "W2": random.standard_normal((5, 2)), "x": X}
    assert verdicts(Net, at=at, diagnosis=0.1) == {"W1": "disagrees", "W2": "agrees"}


# --- parameters in lists ---


def _layers(x, weights, biases):
    activations = [x]
    for W, b in zip(weights, biases, strict=True):
        activations.append(np.tanh(activations[-1] @ W + b))
    return activations


def _pulled(delta, activations, weights):
    """Lists of the gradients of weights and biases."""
    of_weights, of_biases = [], []
    for W, before, after in zip(weights[::-1], activations[-2::-1], activations[::-1], strict=False):
        delta = delta * (1 - after**2)
        of_weights.insert(0, before.T @ delta)
        of_biases.insert(0, delta.sum(axis=0))
        delta = delta @ W.T
    return of_weights, of_biases


class Deep:
    def __init__(self):
        random = np.random.default_rng(0)
        self.weights = [random.normal(size=(3, 4)), random.normal(size=(4, 2))]
        self.biases = [random.normal(size=4), random.normal(size=2)]
        self.speeds = [np.zeros((3, 4)), np.zeros((4, 2))]

    def cost(self, x, y):
        return 0.5 * np.sum((_layers(x, self.weights, self.biases)[-1] - y) ** 2)

    def backprop(self, x, y):
        activations = _layers(x, self.weights, self.biases)
        nabla_w, nabla_b = _pulled(activations[-1] - y, activations, self.weights)
        return nabla_b, nabla_w

    def descend(self, x, y, rate=0.1):
        for i, gradient in enumerate(self.backprop(x, y)[1]):
            self.weights[i] = self.weights[i] - rate * gradient


DATA = {"x": np.random.default_rng(1).normal(size=(5, 3)), "y": np.random.default_rng(2).normal(size=(5, 2))}
IN_LISTS = ["weights[0]", "weights[1]", "biases[0]", "biases[1]"]


def test_lists_of_gradients_are_those_of_the_lists_of_parameters_with_their_shapes():
    net = Deep()
    assert verdicts(net.cost, net.backprop, at=DATA) == dict.fromkeys(IN_LISTS, "agrees")
    assert verdicts(net.cost, net.descend, at=DATA) == dict.fromkeys(IN_LISTS[:2], "agrees")

    def twice(x, y):
        of_biases, of_weights = net.backprop(x, y)
        return of_biases, [of_weights[0], 2 * of_weights[1]]

    wrong = verdicts(net.cost, twice, at=DATA, diagnosis=0)
    assert wrong == {**dict.fromkeys(IN_LISTS, "agrees"), "weights[1]": "disagrees"}


def test_one_list_of_gradients_for_a_list_of_parameters():
    net = Deep()

    def loss(parameters, x, y):
        return 0.5 * np.sum((_layers(x, parameters[:2], parameters[2:])[-1] - y) ** 2)

    def gradients(parameters, x, y):
        activations = _layers(x, parameters[:2], parameters[2:])
        of_weights, of_biases = _pulled(activations[-1] - y, activations, parameters[:2])
        return of_weights + of_biases

    at = {"parameters": net.weights + net.biases, **DATA}
    assert verdicts(loss, gradients, at=at) == {f"parameters[{i}]": "agrees" for i in range(4)}
    square = {
        "parameters": [np.eye(3) + 0.1, np.eye(3), np.ones(3), np.zeros(3)],
        "x": np.eye(3),
        "y": np.eye(3),
    }
    assert verdicts(loss, gradients, at=square) == {f"parameters[{i}]": "agrees" for i in range(4)}


@pytest.mark.parametrize(("factor", "verdict"), [(2, "agrees"), (2.1, "disagrees")])
@pytest.mark.parametrize(("key", "out"), [("loss", None), ("J", None), ("score", "score")])
def test_of_results_in_a_dict_the_loss_is_the_output(factor, verdict, key, out):
    def forward(W, x):
        h = np.tanh(W @ x)
        return {"h": h, key: np.sum(h**2)}

    def backward(dout, W, x):
        h = np.tanh(W @ x)
        d = dout * factor * h * (1 - h**2)
        return {"W": np.outer(d, x), "x": W.T @ d}

    at = {"W": np.array([[1.0, -0.5], [0.25, 2.0]]), "x": np.array([0.1, 0.2])}
    assert check_backward(forward, backward, at=at, out=out).verdict == verdict


# --- what f's own numbers hide ---


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("cut", [-np.inf, -1e9])
def test_causal_attention_is_judged_whatever_number_masks(cut, scale):
    def forward(q, k, v):
        s = np.where(np.tri(len(q), dtype=bool), q @ k.T, cut) * scale
        e = np.exp(s - s.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return p @ v, (q, k, v, p)

    def backward(dout, cache):
        q, k, v, p = cache
        dp = dout @ v.T
        ds = p * (dp - np.sum(dp * p, axis=1, keepdims=True)) * scale
        return ds @ k, ds.T @ q, p.T @ dout

    at = {name: np.cos(k * np.arange(12.0)).reshape(3, 4) for name, k in (("q", 1), ("k", 2), ("v", 3))}
    assert verdicts(forward, backward, at=at) == dict.fromkeys("qkv", "agrees")


def test_a_bias_before_a_normalisation_has_the_derivative_zero_but_for_rounding():
    def loss(x, W, b):
        z = x @ W + b
        return np.sum(((z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)) ** 3)

    def gradients(x, W, b, off=0.0):
        z = x @ W + b
        std = np.sqrt(z.var(axis=0) + 1e-5)
        h = (z - z.mean(axis=0)) / std
        d = 3 * h**2
        dz = (d - d.mean(axis=0) - h * np.mean(d * h, axis=0)) / std
        return {"W": x.T @ dz, "b": dz.sum(axis=0) + off}

    assert verdicts(loss, gradients, at=AT) == {"W": "agrees", "b": "agrees"}
    off = verdicts(loss, lambda x, W, b: gradients(x, W, b, 1e-9), at=AT)
    assert off == {"W": "agrees", "b": "disagrees"}


def test_a_parameter_called_like_an_output_is_the_output():
    class Tanh:
        def forward(self, X):
            return np.tanh(X)

        def backward(self, Y, output_grad):
            return (1 - Y**2) * output_grad

    assert check_backward(Tanh, at={"X": X})


def test_one_gradient_of_a_loss_is_that_of_the_only_argument_of_its_size():
    def cost(data, labels, theta):
        return np.sum((data @ theta - labels) ** 2)

    def gradient(data, labels, theta):
        return (2 * data.T @ (data @ theta - labels)).flatten()

    at = {"data": X, "labels": np.ones((len(X), 1)), "theta": np.ones((X.shape[1], 1))}
    report = check_backward(cost, gradient, at=at)
    assert report.sections == {"theta": "disagrees"}
    assert "axes of length 1" in str(report)
    column = check_backward(cost, lambda data, labels, theta: gradient(data, labels, theta)[:, None], at=at)
    assert column.sections == {"theta": "agrees"}
