from autograd_mini.rules import *
from autograd_mini.value import Value
