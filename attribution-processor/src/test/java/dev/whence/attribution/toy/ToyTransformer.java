package dev.whence.attribution.toy;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A two-layer decoder with rotary positions in double precision that keeps to the contract of
 * branches to the letter: keys and values of viewed trunk tokens are those of the trunk's own
 * forward, rotated to where the view puts them. Weights are random and large enough for
 * log-probabilities to differ by nats.
 */
public final class ToyTransformer implements Scorer {
  private static final int LAYERS = 2;
  private static final int WIDTH = 16;
  private static final int HEADS = 2;
  private static final int HEAD = WIDTH / HEADS;

  private final Tokenizer tokenizer;
  private final PromptTemplate template;
  private final int maxPositions;
  private final double[][] embedding;
  private final double[][][][] weights = new double[LAYERS][6][][];
  private final double[][] head;

  /** Counters that tests read. */
  public int largestCall;

  public long tokensRun;
  public int trunksOpen;

  public ToyTransformer(Tokenizer tokenizer, int maxPositions, long seed) {
    this(tokenizer, maxPositions, seed, new ToyTemplate());
  }

  public ToyTransformer(Tokenizer tokenizer, int maxPositions, long seed, PromptTemplate template) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.maxPositions = maxPositions;
    Random random = new Random(seed);
    embedding = matrix(random, tokenizer.vocabularySize(), WIDTH, 1);
    for (double[][][] layer : weights) {
      for (int m = 0; m < 4; m++) {
        layer[m] =
            matrix(random, WIDTH, WIDTH, m < 2 ? 1.5 / Math.sqrt(WIDTH) : 1 / Math.sqrt(WIDTH));
      }
      layer[4] = matrix(random, 2 * WIDTH, WIDTH, 1 / Math.sqrt(WIDTH));
      layer[5] = matrix(random, WIDTH, 2 * WIDTH, 1 / Math.sqrt(2 * WIDTH));
    }
    head = matrix(random, tokenizer.vocabularySize(), WIDTH, 2 / Math.sqrt(WIDTH));
  }

  private static double[][] matrix(Random random, int rows, int columns, double scale) {
    double[][] matrix = new double[rows][columns];
    for (double[] row : matrix) {
      for (int i = 0; i < columns; i++) {
        row[i] = random.nextGaussian() * scale;
      }
    }
    return matrix;
  }

  @Override
  public ScorerDescription description() {
    return new ScorerDescription(
        "toy", "00", "fp32", "cpu", "toy", LAYERS, maxPositions, true, 1000, List.of("acme/toy"));
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public PromptTemplate template() {
    return template;
  }

  private final class ToyTrunk implements Trunk {
    final int[] tokens;
    final int scoredFrom;
    final double[] logProbs;
    final double[][][] keys = new double[LAYERS][][];
    final double[][][] values = new double[LAYERS][][];

    ToyTrunk(int[] tokens, int scoredFrom) {
      this.tokens = tokens.clone();
      this.scoredFrom = scoredFrom;
      int[] positions = new int[tokens.length];
      for (int i = 0; i < positions.length; i++) {
        positions[i] = i;
      }
      logProbs = forward(null, List.of(), tokens, positions, scoredFrom, this);
      trunksOpen++;
    }

    @Override
    public int length() {
      return tokens.length;
    }

    @Override
    public int[] tokens() {
      return tokens.clone();
    }

    @Override
    public int scoredFrom() {
      return scoredFrom;
    }

    @Override
    public double[] logProbs() {
      return logProbs.clone();
    }

    @Override
    public long bytes() {
      return 0;
    }

    @Override
    public void close() {
      trunksOpen--;
    }
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    if (tokens.length > maxPositions) {
      throw new EngineException(EngineException.Kind.UNSUPPORTED, "too long");
    }
    return new ToyTrunk(tokens, scoredFrom);
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    List<double[]> scores = new ArrayList<>();
    int own = 0;
    for (Branch branch : branches) {
      own += branch.tokens().length;
      scores.add(
          forward(
              (ToyTrunk) trunk,
              branch.views(),
              branch.tokens(),
              branch.positions(),
              branch.scoredFrom(),
              null));
    }
    largestCall = Math.max(largestCall, own);
    return scores;
  }

  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    long tokens = trunkTokens;
    for (Branch branch : branches) {
      tokens += branch.tokens().length;
    }
    return new WorkEstimate(tokens, tokens * 1e3, tokens * 1e-3);
  }

  private double[] forward(
      ToyTrunk trunk,
      List<View> views,
      int[] tokens,
      int[] positions,
      int scoredFrom,
      ToyTrunk keep) {
    int n = tokens.length;
    tokensRun += n;
    double[][] x = new double[n][];
    for (int i = 0; i < n; i++) {
      x[i] = embedding[tokens[i]].clone();
    }
    for (int layer = 0; layer < LAYERS; layer++) {
      double[][][] w = weights[layer];
      double[][] q = new double[n][];
      double[][] k = new double[n][];
      double[][] v = new double[n][];
      for (int i = 0; i < n; i++) {
        double[] normed = norm(x[i]);
        q[i] = times(w[0], normed);
        k[i] = times(w[1], normed);
        v[i] = times(w[2], normed);
      }
      if (keep != null) {
        keep.keys[layer] = k;
        keep.values[layer] = v;
      }
      for (int i = 0; i < n; i++) {
        double[] mixed = new double[WIDTH];
        for (int h = 0; h < HEADS; h++) {
          List<double[]> seenValues = new ArrayList<>();
          List<Double> logits = new ArrayList<>();
          for (View view : views) {
            for (int t = view.from(); t < view.to(); t++) {
              if (t - view.shift() < positions[i]) {
                logits.add(logit(q[i], trunk.keys[layer][t], h, positions[i] - (t - view.shift())));
                seenValues.add(trunk.values[layer][t]);
              }
            }
          }
          for (int j = 0; j <= i; j++) {
            logits.add(logit(q[i], k[j], h, positions[i] - positions[j]));
            seenValues.add(v[j]);
          }
          attend(logits, seenValues, h, mixed);
        }
        add(x[i], times(w[3], mixed));
      }
      for (int i = 0; i < n; i++) {
        double[] hidden = times(w[4], norm(x[i]));
        for (int c = 0; c < hidden.length; c++) {
          hidden[c] = hidden[c] / (1 + Math.exp(-hidden[c]));
        }
        add(x[i], times(w[5], hidden));
      }
    }
    double[] logProbs = new double[n - scoredFrom];
    for (int i = scoredFrom; i < n; i++) {
      double[] logits = times(head, norm(x[i - 1]));
      double max = Double.NEGATIVE_INFINITY;
      for (double logit : logits) {
        max = Math.max(max, logit);
      }
      double sum = 0;
      for (double logit : logits) {
        sum += Math.exp(logit - max);
      }
      logProbs[i - scoredFrom] = logits[tokens[i]] - max - Math.log(sum);
    }
    return logProbs;
  }

  /** Rotary attention depends on the distance alone: rotate the query by it and leave the key. */
  private static double logit(double[] q, double[] k, int headIndex, int distance) {
    double sum = 0;
    int half = HEAD / 2;
    for (int c = 0; c < half; c++) {
      double angle = distance * Math.pow(100, -2.0 * c / HEAD);
      double cos = Math.cos(angle);
      double sin = Math.sin(angle);
      double q1 = q[headIndex * HEAD + c];
      double q2 = q[headIndex * HEAD + c + half];
      sum += (q1 * cos - q2 * sin) * k[headIndex * HEAD + c];
      sum += (q2 * cos + q1 * sin) * k[headIndex * HEAD + c + half];
    }
    return sum / Math.sqrt(HEAD);
  }

  private static void attend(
      List<Double> logits, List<double[]> values, int headIndex, double[] mixed) {
    double max = logits.stream().mapToDouble(Double::doubleValue).max().orElseThrow();
    double total = 0;
    double[] out = new double[HEAD];
    for (int t = 0; t < values.size(); t++) {
      double weight = Math.exp(logits.get(t) - max);
      total += weight;
      for (int c = 0; c < HEAD; c++) {
        out[c] += weight * values.get(t)[headIndex * HEAD + c];
      }
    }
    for (int c = 0; c < HEAD; c++) {
      mixed[headIndex * HEAD + c] = out[c] / total;
    }
  }

  private static double[] norm(double[] x) {
    double square = 0;
    for (double value : x) {
      square += value * value;
    }
    double scale = 1 / Math.sqrt(square / x.length + 1e-6);
    double[] normed = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      normed[i] = x[i] * scale;
    }
    return normed;
  }

  private static double[] times(double[][] matrix, double[] x) {
    double[] y = new double[matrix.length];
    for (int r = 0; r < matrix.length; r++) {
      for (int c = 0; c < x.length; c++) {
        y[r] += matrix[r][c] * x[c];
      }
    }
    return y;
  }

  private static void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }

  @Override
  public void close() {}
}
