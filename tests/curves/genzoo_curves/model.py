"""Probabilistic principal components (Tipping & Bishop 1999): x = mean + W z + noise, fitted in closed form.

The sums that the fit needs are added up batch by batch, and after each it is made anew.
"""

import torch

from genzoo import Generator


class PCA(Generator):
    likelihood_kind = "exact"

    def __init__(self, config, data):
        super().__init__(config, data)
        points, classes = data.shape[0], len(data.classes) if self.conditional else 1
        self.register_buffer("counts", torch.zeros(classes))
        self.register_buffer("sums", torch.zeros(classes, points))
        self.register_buffer("products", torch.zeros(points, points))
        self.register_buffer("means", torch.zeros(classes, points))
        self.register_buffer("weights", torch.zeros(points, min(config.rank, points - 1)))
        self.register_buffer("variance", torch.ones(()))

    @torch.no_grad()
    def fit(self, run):
        for batch in run.batches():
            x, labels, rank = batch.examples, self.labels_of(batch), self.weights.shape[1]
            self.counts.index_add_(0, self.rows(x, labels), torch.ones_like(x[:, 0]))
            self.sums.index_add_(0, self.rows(x, labels), x)
            self.products += x.T @ x
            self.means = self.sums / self.counts[:, None].clamp_min(1)
            scatter = self.products - (self.means * self.counts[:, None]).T @ self.means
            values, vectors = torch.linalg.eigh(scatter / self.counts.sum())
            self.variance = values[:-rank].mean().clamp_min(1e-6)
            self.weights = vectors[:, -rank:] * (values[-rank:] - self.variance).clamp_min(0).sqrt()
            run.log(nll=-self.log_likelihood(x, labels).mean())

    def rows(self, x, labels):
        return torch.zeros(len(x), dtype=torch.int64, device=x.device) if labels is None else labels

    def log_likelihood(self, x, labels=None):
        covariance = self.weights @ self.weights.T + self.variance * torch.eye(len(self.weights), device=x.device)
        normal = torch.distributions.MultivariateNormal(torch.zeros_like(x[0]), covariance)
        return normal.log_prob(x - self.means[self.rows(x, labels)])

    def sample(self, count, *, options, rng, labels=None):
        z = rng.normal(self.weights.shape[1])
        return self.decode(z, labels) + rng.normal(len(self.weights)) * self.variance.sqrt()

    def encode(self, x, labels=None):
        inner = self.weights.T @ self.weights + self.variance * torch.eye(self.weights.shape[1], device=x.device)
        return torch.linalg.solve(inner, self.weights.T @ (x - self.means[self.rows(x, labels)]).T).T

    def decode(self, z, labels=None):
        return self.means[self.rows(z, labels)] + z @ self.weights.T
