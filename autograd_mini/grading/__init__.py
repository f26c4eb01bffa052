"""Derivations that were handed in, held against a reference: who is right, where, and what went wrong.

Three kinds of process take part, each knowing as little as it can. The *grader* reads the files, hands
them out and writes the outcome. Its *judges*, as many as there are jobs, hold the reference: loss, points and
verdicts are theirs. A *hand-in* runs in a process of its own, which gets its own source and, question by
question, arguments; it answers numbers, which its judge holds against the truth at points drawn anew.

What a hand-in may do to its own process, its frames, modules and descriptors, therefore decides about its
own numbers only. It ends with its judge, and the judge with the grader, however that ends.

What holds a hand-in, besides limits of time, memory, processes, file sizes and the length of an answer:

- on Linux its descendants end with it, in whatever session; it dies when its judge does; and it has no
  capability that root has. Where the kernel has Landlock it writes only in a folder of its own, which is
  removed, reaches no other process's memory or descriptors, and, from Linux 6.12 on, signals none;
- elsewhere in Unix its process group ends with it, in Windows its tree of processes.

These limits do not keep it from reading what you may read, nor, where TCP is not Landlock's (before Linux
6.7), from the network; without Landlock, nor from changing your files or ending the grader. Grade what
strangers hand in on a machine that holds nothing else.
"""
