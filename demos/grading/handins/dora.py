# Step by step; dY and dZ are the adjoints of what the loss calls Y and Z.
steps = {
    ("dY", "Y"): lambda Y, T: -T / Y / len(T),
    ("dZ", "Z"): lambda dY, Y: dY * Y * (1 - Y),
    "W": lambda X, dZ: X.T @ dZ,
    "b": lambda dZ: dZ.sum(axis=0),
}
