"""Score: experimental."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from .features import Features
from .likeness import History, sums

PARTNER = 0.5
NEIGHBOUR = 0.3
EXPAND = 0.5
STEPS = 2
KEEP = 0.7
NEAREST = 8
PRIOR = 0.6
DECAY = 0.85
Z = dict(bias=0.5, pron=2.5, content=-0.7, last2=5.0, best=-4.6, goes=0.8, askback=2.0, frag=0.0)


def sigmoid(z):
    return 1 / (1 + np.exp(-np.clip(z, -30, 30)))


class Pass:
    """One look at the history: rows ordered by exchange; members[k] = row range."""

    def __init__(
        self,
        feats: Sequence[Features],
        roles: Sequence[str],
        sizes: Sequence[int],
        query: Features,
        terms: int,
    ):
        # feats in exchange order; sizes = number of messages per exchange
        self.feats = feats
        self.roles = roles
        n = self.n = len(sizes)
        bounds = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        self.bounds = bounds
        users = []  # row of the user's message in each exchange, or first
        for k in range(n):
            u = bounds[k]
            users.append(int(u))
        self.users = users
        H = self.H = History(feats, [query], terms)
        self.q = query
        exch = np.repeat(np.arange(n), sizes)
        self.exch = exch
        # exchange matrix
        estarts = H.starts[bounds]
        E = csr_matrix((H.weights.copy(), H.ids.copy(), estarts), (n, H.width))
        E.sum_duplicates()
        norm = np.sqrt(sums(E.data**2, E.indptr))
        norm[norm == 0] = 1
        E.data /= np.repeat(norm, np.diff(E.indptr))
        self.E = E
        B = csr_matrix((np.ones_like(E.data), E.indices, E.indptr), E.shape)
        # user rows + query
        ufs = [feats[u] for u in users] + [query]
        uids = [H.ids[H.starts[u] : H.starts[u + 1]] for u in users] + [H.asked[0][0]]
        idx = np.concatenate(uids)
        ln = [len(x) for x in uids]
        w = np.concatenate([f.weights for f in ufs]).astype(float) * H.idf[idx]
        ptr = np.concatenate(([0], np.cumsum(ln))).astype(np.int32)
        tot = sums(w, ptr)
        tot[tot <= 0] = 1
        w = w / np.repeat(tot, ln)
        U = csr_matrix((w, idx, ptr), (n + 1, H.width))
        C = (U @ B.T).toarray()  # n+1 x n
        self.C = C
        self.gate_inputs(ufs)

    def gate_inputs(self, ufs):
        n, C = self.n, self.C
        tri = np.tril(np.ones((n + 1, n)), -1)
        Cm = np.where(tri > 0, C, 0)
        last2 = np.zeros(n + 1)
        best = np.zeros(n + 1)
        for d in (1, 2):
            j = np.arange(d, n + 1)
            last2[j] = np.maximum(last2[j], Cm[j, j - d])
        if n:
            best = Cm.max(1)
        self.F = dict(
            pron=np.array([f.points_back for f in ufs], float),
            goes=np.array([f.goes_on for f in ufs], float),
            content=np.minimum([f.content for f in ufs], 6.0),
            last2=last2,
            best=best - last2,
            askback=np.array(
                [0.0] + [float(self.feats[self.bounds[k + 1] - 1].asks_back) for k in range(n)]
            ),
            frag=np.array([float(not f.is_question and f.content <= 3) for f in ufs]),
        )
        z = Z["bias"] + sum(Z[k] * v for k, v in self.F.items())
        self.g = sigmoid(z)
        self.g[0] = 0 if n else self.g[0]
        self.gate = self.g[n]

    def scores(self):
        H, n = self.H, self.n
        g = self.gate
        q = H.question()
        nq = np.sqrt(q @ q)
        if nq:
            q = q / nq
        last = self.users[-1]
        v = np.zeros(H.width)
        a, b = H.starts[last], H.starts[last + 1]
        v[H.ids[a:b]] = H.weights[a:b]
        q = q + g * EXPAND * v
        s = H.likeness(q)
        m = len(s)
        # partner: mean of others in exchange ; neighbour exchanges
        cnt = np.diff(self.bounds)
        esum = np.add.reduceat(s, self.bounds[:-1])
        emax = np.maximum.reduceat(s, self.bounds[:-1])
        others = (esum[self.exch] - s) / np.maximum(cnt[self.exch] - 1, 1)
        pad = np.concatenate(([0], emax, [0]))
        nb = np.maximum(pad[:-2], pad[2:])
        s1 = s + PARTNER * others + NEIGHBOUR * nb[self.exch]
        # propagate on exchanges
        e = np.maximum.reduceat(s1, self.bounds[:-1])
        S = (self.E @ self.E.T).toarray()
        np.fill_diagonal(S, 0)
        self.S = S
        if n > NEAREST + 1:
            kth = np.partition(S, n - NEAREST, axis=1)[:, n - NEAREST]
            W = np.where(S >= kth[:, None], S, 0)
        else:
            W = S.copy()
        rs = W.sum(1)
        rs[rs == 0] = 1
        W = W / rs[:, None]
        x = e.copy()
        for _ in range(STEPS):
            x = KEEP * e + (1 - KEEP) * (W @ x)
        self.msg = KEEP * s1 + (x - KEEP * e)[self.exch]
        top = x.max() if n else 0
        r = x / top if top > 0 else x
        # chain prior
        p = np.zeros(n)
        acc = g
        for k in range(n - 1, -1, -1):
            p[k] = acc
            acc *= max(self.g[k], 0.0) ** 0.5
        self.p = p
        age = np.arange(n - 1, -1, -1)
        self.r = r
        self.total = r + PRIOR * p * (0.5 + 0.5 * DECAY**age)
        return self.total


def weighed(feats, messages, query, terms):
    flat = [f for fs in feats for f in fs]
    P = Pass(flat, [m.role for ms in messages for m in ms], [len(f) for f in feats], query, terms)
    t = P.scores()
    top = t.max()
    shares = np.round(t / top, 9) if top > 0 else np.ones(len(t))
    return shares.tolist(), P.msg.tolist(), pins(P)


def pins(P):
    stays = {}
    for k in range(P.n):
        if P.feats[P.users[k]].sets_a_rule and P.roles[P.users[k]] == "user":
            stays[k] = "standing instruction"
    return stays
