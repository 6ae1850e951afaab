package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * The textbook forward in double arithmetic, token by token and without any cache of rotations: a
 * key is rotated to where the rule of sight says it stands, each time it is looked at. Nothing is
 * shared with the kernels.
 */
final class PlainDecoder {
  private final RandomModel model;
  private final ModelConfig c;

  /** What a token leaves behind in each layer, before rotation: [layer][heads * headDim]. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Cell(double[][] keys, double[][] values) {}

  /** A key in sight: the token's cell and the position at which it stands. */
  private record Seen(Cell cell, int position) {}

  PlainDecoder(RandomModel model) {
    this.model = model;
    this.c = model.config();
  }

  /** Log-probabilities of tokens [scoredFrom, length) of a plain sequence. */
  double[] trunk(int[] tokens, int scoredFrom) {
    List<Cell> cells = new ArrayList<>();
    double[] scores = new double[tokens.length - scoredFrom];
    for (int t = 0; t < tokens.length; t++) {
      double[] logits = step(tokens[t], t, trunkSight(cells, t), cells);
      if (t + 1 >= scoredFrom && t + 1 < tokens.length) {
        scores[t + 1 - scoredFrom] = logProb(logits, tokens[t + 1]);
      }
    }
    return scores;
  }

  /** The most probable token after a plain sequence. */
  int next(int[] tokens) {
    List<Cell> cells = new ArrayList<>();
    double[] logits = new double[0];
    for (int t = 0; t < tokens.length; t++) {
      logits = step(tokens[t], t, trunkSight(cells, t), cells);
    }
    int best = 0;
    for (int token = 1; token < logits.length; token++) {
      best = logits[token] > logits[best] ? token : best;
    }
    return best;
  }

  /** Log-probabilities of the scored tokens of a branch of a trunk. */
  double[] branch(int[] trunk, Branch branch) {
    List<Cell> trunkCells = new ArrayList<>();
    for (int t = 0; t < trunk.length; t++) {
      step(trunk[t], t, trunkSight(trunkCells, t), trunkCells);
    }
    List<Cell> own = new ArrayList<>();
    double[] scores = new double[branch.scored()];
    for (int j = 0; j < branch.tokens().length; j++) {
      int p = branch.positions()[j];
      List<Seen> sight = new ArrayList<>();
      for (View view : branch.views()) {
        for (int k = view.from(); k < view.to(); k++) {
          if (k - view.shift() < p && inWindow(p, k - view.shift())) {
            sight.add(new Seen(trunkCells.get(k), k - view.shift()));
          }
        }
      }
      for (int i = 0; i < j; i++) {
        if (inWindow(p, branch.positions()[i])) {
          sight.add(new Seen(own.get(i), branch.positions()[i]));
        }
      }
      double[] logits = step(branch.tokens()[j], p, sight, own);
      if (j + 1 >= branch.scoredFrom() && j + 1 < branch.tokens().length) {
        scores[j + 1 - branch.scoredFrom()] = logProb(logits, branch.tokens()[j + 1]);
      }
    }
    return scores;
  }

  private boolean inWindow(int p, int key) {
    return c.slidingWindow() == 0 || p - key < c.slidingWindow();
  }

  private List<Seen> trunkSight(List<Cell> cells, int t) {
    List<Seen> sight = new ArrayList<>();
    for (int k = 0; k < t; k++) {
      if (inWindow(t, k)) {
        sight.add(new Seen(cells.get(k), k));
      }
    }
    return sight;
  }

  /** One token: its logits; its cell is appended. */
  private double[] step(int token, int position, List<Seen> before, List<Cell> cells) {
    int d = c.hiddenSize();
    boolean neox = c.isGptNeoX();
    String embedding = neox ? "gpt_neox.embed_in.weight" : "model.embed_tokens.weight";
    double[] h = row(model.get(embedding), token, d);
    Cell cell = new Cell(new double[c.layers()][], new double[c.layers()][]);
    for (int l = 0; l < c.layers(); l++) {
      String layer = (neox ? "gpt_neox.layers." : "model.layers.") + l + ".";
      double[] x = norm(h, layer + "input_layernorm");
      double[][] qkv = neox ? zipped(x, layer) : separate(x, layer);
      cell.keys[l] = qkv[1];
      cell.values[l] = qkv[2];
      List<Seen> sight = new ArrayList<>(before);
      sight.add(new Seen(cell, position));
      double[] a = attention(qkv[0], position, sight, l);
      double[] attended = linear(a, layer + (neox ? "attention.dense" : "self_attn.o_proj"), d);
      if (neox && c.parallelResidual()) {
        double[] mlp = mlp(norm(h, layer + "post_attention_layernorm"), layer);
        h = sum(sum(h, attended), mlp);
      } else {
        h = sum(h, attended);
        h = sum(h, mlp(norm(h, layer + "post_attention_layernorm"), layer));
      }
    }
    cells.add(cell);
    h = norm(h, neox ? "gpt_neox.final_layer_norm" : "model.norm");
    String head = neox ? "embed_out.weight" : c.tiedEmbeddings() ? embedding : "lm_head.weight";
    return product(h, model.get(head), c.vocabularySize());
  }

  private double[][] separate(double[] x, String layer) {
    int q = c.heads() * c.headDim();
    int kv = c.keyValueHeads() * c.headDim();
    double[] queries = linear(x, layer + "self_attn.q_proj", q);
    double[] keys = linear(x, layer + "self_attn.k_proj", kv);
    if (c.queryKeyNorm()) {
      queries = headNorm(queries, layer + "self_attn.q_norm.weight");
      keys = headNorm(keys, layer + "self_attn.k_norm.weight");
    }
    return new double[][] {queries, keys, linear(x, layer + "self_attn.v_proj", kv)};
  }

  private double[][] zipped(double[] x, String layer) {
    int d = c.hiddenSize();
    int w = c.headDim();
    double[] all = linear(x, layer + "attention.query_key_value", 3 * d);
    double[][] parts = new double[3][d];
    for (int head = 0; head < c.heads(); head++) {
      for (int part = 0; part < 3; part++) {
        System.arraycopy(all, (head * 3 + part) * w, parts[part], head * w, w);
      }
    }
    return parts;
  }

  private double[] attention(double[] queries, int position, List<Seen> sight, int l) {
    int w = c.headDim();
    double[] out = new double[c.heads() * w];
    int group = c.heads() / c.keyValueHeads();
    for (int head = 0; head < c.heads(); head++) {
      double[] q = rotated(queries, head, position);
      double[] weights = new double[sight.size()];
      double most = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < weights.length; i++) {
        double[] k = rotated(sight.get(i).cell.keys[l], head / group, sight.get(i).position);
        for (int j = 0; j < w; j++) {
          weights[i] += q[j] * k[j] / Math.sqrt(w);
        }
        most = Math.max(most, weights[i]);
      }
      double total = 0;
      for (int i = 0; i < weights.length; i++) {
        weights[i] = Math.exp(weights[i] - most);
        total += weights[i];
      }
      for (int i = 0; i < weights.length; i++) {
        for (int j = 0; j < w; j++) {
          out[head * w + j] +=
              weights[i] / total * sight.get(i).cell.values[l][head / group * w + j];
        }
      }
    }
    return out;
  }

  private double[] rotated(double[] heads, int head, int position) {
    double[] x = new double[c.headDim()];
    System.arraycopy(heads, head * c.headDim(), x, 0, x.length);
    int half = c.rotary().dimensions() / 2;
    for (int i = 0; i < half; i++) {
      double angle = position * c.rotary().inverseFrequencies().get(i);
      double cos = Math.cos(angle) * c.rotary().attentionFactor();
      double sin = Math.sin(angle) * c.rotary().attentionFactor();
      double first = x[i];
      double second = x[half + i];
      x[i] = first * cos - second * sin;
      x[half + i] = second * cos + first * sin;
    }
    return x;
  }

  private double[] mlp(double[] x, String layer) {
    int inner = c.intermediateSize();
    if (c.isGptNeoX()) {
      double[] y = linear(x, layer + "mlp.dense_h_to_4h", inner);
      for (int i = 0; i < inner; i++) {
        y[i] = y[i] / 2 * (1 + erf(y[i] / Math.sqrt(2)));
      }
      return linear(y, layer + "mlp.dense_4h_to_h", c.hiddenSize());
    }
    double[] gate = linear(x, layer + "mlp.gate_proj", inner);
    double[] up = linear(x, layer + "mlp.up_proj", inner);
    for (int i = 0; i < inner; i++) {
      gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
    }
    return linear(gate, layer + "mlp.down_proj", c.hiddenSize());
  }

  /**
   * The error function: 2 / sqrt(pi) times the sum of (-1)^n x^(2n+1) / (n! (2n+1)); +-1 beyond 5.
   */
  private static double erf(double x) {
    if (Math.abs(x) > 5) {
      return Math.signum(x);
    }
    double term = x;
    double sum = x;
    for (int n = 1; n < 120; n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }

  private double[] norm(double[] x, String name) {
    float[] weight = model.get(name + ".weight");
    float[] bias = model.get(name + ".bias");
    double mean = 0;
    if (c.isGptNeoX()) {
      for (double value : x) {
        mean += value / x.length;
      }
    }
    double variance = 0;
    for (double value : x) {
      variance += (value - mean) * (value - mean) / x.length;
    }
    double[] y = new double[x.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = (x[i] - mean) / Math.sqrt(variance + c.normEpsilon()) * weight[i];
      y[i] += bias.length > 0 ? bias[i] : 0;
    }
    return y;
  }

  private double[] headNorm(double[] heads, String name) {
    float[] weight = model.get(name);
    int w = c.headDim();
    double[] y = new double[heads.length];
    for (int head = 0; head < heads.length / w; head++) {
      double square = 0;
      for (int i = 0; i < w; i++) {
        square += heads[head * w + i] * heads[head * w + i] / w;
      }
      for (int i = 0; i < w; i++) {
        y[head * w + i] = heads[head * w + i] / Math.sqrt(square + c.normEpsilon()) * weight[i];
      }
    }
    return y;
  }

  private double[] linear(double[] x, String name, int rows) {
    double[] y = product(x, model.get(name + ".weight"), rows);
    float[] bias = model.get(name + ".bias");
    for (int i = 0; i < bias.length; i++) {
      y[i] += bias[i];
    }
    return y;
  }

  private static double[] product(double[] x, float[] matrix, int rows) {
    double[] y = new double[rows];
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < x.length; i++) {
        y[r] += x[i] * matrix[r * x.length + i];
      }
    }
    return y;
  }

  private static double[] row(float[] matrix, int row, int columns) {
    double[] x = new double[columns];
    for (int i = 0; i < columns; i++) {
      x[i] = matrix[row * columns + i];
    }
    return x;
  }

  private static double[] sum(double[] a, double[] b) {
    double[] y = new double[a.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = a[i] + b[i];
    }
    return y;
  }

  private static double logProb(double[] logits, int token) {
    double most = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      most = Math.max(most, logit);
    }
    double total = 0;
    for (double logit : logits) {
      total += Math.exp(logit - most);
    }
    return logits[token] - most - Math.log(total);
  }
}
