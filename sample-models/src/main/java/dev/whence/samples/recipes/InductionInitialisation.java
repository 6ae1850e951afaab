package dev.whence.samples.recipes;

import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.training.Initialisation;
import dev.whence.engine.weights.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * First values with the circuits of reading in them, so that a small model need not find them by
 * chance: random values take millions of tokens until heads form that look for what stood after the
 * same words before (Olsson et al. 2022, In-context Learning and Induction Heads). For decoders
 * with norms over queries and keys, four heads a layer, and at least three layers. All of it is
 * trained like every other parameter.
 *
 * <pre>
 *   embedding   last dimension constant: what queries and keys that look at distance alone read
 *   layer 0     heads 0, 1, 2 look 1, 2, 3 tokens back (the phase of the rotation is all that counts)
 *               and write that token's code P x into a subspace U1, U2, U3
 *               head 3 gathers the codes of the last dozen tokens: a bag of names, into U4
 *   layers 1, 2 head 0: query P x, key U1' x: what followed this token before (induction)
 *               head 1: the same with one more token of the past: (P x, U1' x) against (U1' x, U2' x)
 *               head 2: bag against bag: what stands near the same names
 *               each copies the token that it finds, a quarter of the width each
 * </pre>
 *
 * Values that copy a token: value projection C, output projection gain C' with C orthonormal, as in
 * mimetic initialisation (Trockman and Kolter 2023).
 */
final class InductionInitialisation implements Initialisation {
  private static final int HEADS = 4;
  private static final double EMBEDDING_DEVIATION = 0.1;
  private static final double GAIN = 0.7;
  private static final double OUTPUT_GAIN = 0.07;
  private static final double CONSTANT = 0.3;
  private static final double NOISE = 0.005;
  private static final double QUERY_KEY_GAIN = 2.4;
  private static final double LOOK_BACK = 0.2;
  private static final double BAG = 1.2;
  private static final double COPY = 0.8;

  /** Of the pairs of a head, by how fast they rotate: the share that tells distances. */
  private static final double DISTANCE_SHARE = 0.5;

  /** From where on pairs rotate slowly enough to compare codes at any distance. */
  private static final double SLOW = 5.0 / 16;

  /** The same for bags. */
  private static final double SLOW_BAG = 0.5;

  private static final double BAG_CENTRE = 5;
  private static final double BAG_SHARE = 0.2;
  private static final int BAG_SCALE = 3;
  private static final List<Integer> MATCHING_LAYERS = List.of(1, 2);
  private static final int LEAST_LAYERS = 3;

  private final long seed;
  private final BitSet names;
  private final Map<String, float[]> values = new HashMap<>();

  /**
   * @param names tokens that names are made of: only they are gathered in bags
   */
  InductionInitialisation(long seed, BitSet names) {
    this.seed = seed;
    this.names = (BitSet) names.clone();
  }

  @Override
  public float[] values(ParameterLayout.Parameter parameter, ModelConfig config) {
    if (values.isEmpty()) {
      construct(config);
    }
    return Objects.requireNonNull(values.get(parameter.name()), parameter.name());
  }

  private void construct(ModelConfig config) {
    if (!config.queryKeyNorm()
        || config.heads() != HEADS
        || config.keyValueHeads() != HEADS
        || config.layers() < LEAST_LAYERS) {
      throw new IllegalArgumentException(
          "induction heads are laid out for four heads with norms over queries and keys, in at"
              + " least three layers");
    }
    Random random = new Random(seed);
    int d = config.hiddenSize();
    int width = config.headDim();
    double[][] embedding = normal(random, config.vocabularySize(), d, EMBEDDING_DEVIATION);
    for (double[] row : embedding) {
      row[d - 1] = CONSTANT;
    }
    List<Layer> layers = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      layers.add(new Layer(random, config));
    }
    double[][] code = padded(orthonormal(random, width, d - 1));
    List<double[][]> past = new ArrayList<>();
    for (int back = 1; back <= 3; back++) {
      past.add(lookBack(random, layers.get(0), config, back, code));
    }
    double[][] bag = gather(random, layers.get(0), config, embedding);
    double[][] parts = orthonormal(random, d, d);
    for (int i = 0; i < MATCHING_LAYERS.size(); i++) {
      Layer layer = layers.get(MATCHING_LAYERS.get(i));
      match(random, layer, config, i, code, past, bag, parts);
    }
    values.put("model.embed_tokens.weight", flat(embedding));
    values.put("model.norm.weight", ones(d));
    for (int l = 0; l < layers.size(); l++) {
      layers.get(l).put("model.layers." + l + ".", l, config);
    }
  }

  /** The matrices of a layer, before and while heads are laid out. */
  private final class Layer {
    private final double[][] q;
    private final double[][] k;
    private final double[][] v;
    private final double[][] o;
    private final double[][] gate;
    private final double[][] up;
    private final double[][] down;

    Layer(Random random, ModelConfig config) {
      int d = config.hiddenSize();
      int all = HEADS * config.headDim();
      int m = config.intermediateSize();
      double in = GAIN / Math.sqrt(d);
      q = normal(random, all, d, in);
      k = normal(random, all, d, in);
      v = normal(random, all, d, in);
      o = normal(random, d, all, OUTPUT_GAIN * GAIN / Math.sqrt(all));
      gate = normal(random, m, d, in);
      up = normal(random, m, d, in);
      down = normal(random, d, m, OUTPUT_GAIN * GAIN / Math.sqrt(m));
    }

    void put(String prefix, int index, ModelConfig config) {
      float gain = index == 0 || MATCHING_LAYERS.contains(index) ? (float) QUERY_KEY_GAIN : 1f;
      float[] head = new float[config.headDim()];
      Arrays.fill(head, gain);
      values.put(prefix + "input_layernorm.weight", ones(config.hiddenSize()));
      values.put(prefix + "post_attention_layernorm.weight", ones(config.hiddenSize()));
      values.put(prefix + "self_attn.q_norm.weight", head);
      values.put(prefix + "self_attn.k_norm.weight", head.clone());
      values.put(prefix + "self_attn.q_proj.weight", flat(q));
      values.put(prefix + "self_attn.k_proj.weight", flat(k));
      values.put(prefix + "self_attn.v_proj.weight", flat(v));
      values.put(prefix + "self_attn.o_proj.weight", flat(o));
      values.put(prefix + "mlp.gate_proj.weight", flat(gate));
      values.put(prefix + "mlp.up_proj.weight", flat(up));
      values.put(prefix + "mlp.down_proj.weight", flat(down));
    }
  }

  /** A head that looks a distance back, and what it writes: [d, width], orthonormal columns. */
  private static double[][] lookBack(
      Random random, Layer layer, ModelConfig config, int back, double[][] code) {
    int width = config.headDim();
    int half = width / 2;
    int d = config.hiddenSize();
    double[] query = new double[width];
    double[] key = new double[width];
    for (int pair = 0; pair < half * DISTANCE_SHARE; pair++) {
      double angle = back * config.rotary().inverseFrequencies().get(pair);
      query[pair] = Math.cos(angle);
      query[pair + half] = -Math.sin(angle);
      key[pair] = 1;
    }
    int first = (back - 1) * width;
    byDistance(random, layer.q, first, query);
    byDistance(random, layer.k, first, key);
    double[][] written = writes(random, d, width);
    for (int i = 0; i < width; i++) {
      layer.v[first + i] = code[i].clone();
      for (int j = 0; j < d; j++) {
        layer.o[j][first + i] = LOOK_BACK * written[j][i];
      }
    }
    return written;
  }

  /** The head that gathers names; codes of other tokens are taken out of its subspace. */
  private double[][] gather(Random random, Layer layer, ModelConfig config, double[][] embedding) {
    int width = config.headDim();
    int half = width / 2;
    int d = config.hiddenSize();
    double[] query = new double[width];
    double[] key = new double[width];
    int near = Math.max(2, half * 3 / 16);
    for (int pair = near; pair < 2 * near; pair++) {
      double angle = BAG_CENTRE * config.rotary().inverseFrequencies().get(pair);
      double size = BAG_SCALE * Math.sqrt(BAG_SHARE / near);
      query[pair] = size * Math.cos(angle);
      query[pair + half] = -size * Math.sin(angle);
      key[pair] = size;
    }
    for (int pair = half - near; pair < half; pair++) {
      query[pair] = BAG_SCALE * Math.sqrt((1 - BAG_SHARE) / near);
      key[pair] = query[pair];
    }
    int first = 3 * width;
    byDistance(random, layer.q, first, query);
    byDistance(random, layer.k, first, key);
    double[][] code = padded(orthonormal(random, width, d - 1));
    for (int token = names.nextClearBit(0);
        token < embedding.length;
        token = names.nextClearBit(token + 1)) {
      double[] row = embedding[token];
      for (double[] direction : code) {
        double along = dot(direction, row);
        for (int j = 0; j < d; j++) {
          row[j] -= along * direction[j];
        }
      }
    }
    double[][] written = writes(random, d, width);
    for (int i = 0; i < width; i++) {
      layer.v[first + i] = code[i].clone();
      for (int j = 0; j < d; j++) {
        layer.o[j][first + i] = BAG * written[j][i];
      }
    }
    return written;
  }

  private static void match(
      Random random,
      Layer layer,
      ModelConfig config,
      int index,
      double[][] code,
      List<double[][]> past,
      double[][] bag,
      double[][] parts) {
    int width = config.headDim();
    for (int head = 0; head < 3; head++) {
      int first = head * width;
      double[][] query = new double[width][config.hiddenSize()];
      double[][] key = new double[width][config.hiddenSize()];
      if (head < 2) {
        double[][] turn = slow(random, width, SLOW);
        add(query, turn, code);
        add(key, turn, transposed(past.get(0)));
        if (head == 1) {
          double[][] second = slow(random, width, SLOW);
          add(query, second, transposed(past.get(0)));
          add(key, second, transposed(past.get(1)));
        }
      } else {
        double[][] turn = slow(random, width, SLOW_BAG);
        add(query, turn, transposed(bag));
        add(key, turn, transposed(bag));
      }
      for (int i = 0; i < width; i++) {
        layer.q[first + i] = query[i];
        layer.k[first + i] = key[i];
        double[] part = parts[((index * 2 + head) % HEADS * width + i) % parts.length];
        layer.v[first + i] = part.clone();
        for (int j = 0; j < part.length; j++) {
          layer.o[j][first + i] = COPY * part[j];
        }
      }
    }
  }

  /** Rows that read the constant dimension alone. */
  private static void byDistance(Random random, double[][] rows, int first, double[] phases) {
    for (int i = 0; i < phases.length; i++) {
      double[] row = rows[first + i];
      for (int j = 0; j < row.length; j++) {
        row[j] = random.nextGaussian() * NOISE;
      }
      row[row.length - 1] = phases[i];
    }
  }

  /** Orthonormal columns that leave the constant dimension alone, [d, width]. */
  private static double[][] writes(Random random, int d, int width) {
    return transposed(padded(orthonormal(random, width, d - 1)));
  }

  /** [width, width]: turns a code into the pairs that rotate slowly, other rows zero. */
  private static double[][] slow(Random random, int width, double from) {
    int half = width / 2;
    int firstPair = (int) (half * from);
    int pairs = half - firstPair;
    double[][] turns = orthonormal(random, 2 * pairs, width);
    double[][] all = new double[width][width];
    for (int i = 0; i < pairs; i++) {
      all[firstPair + i] = turns[i];
      all[firstPair + i + half] = turns[pairs + i];
    }
    return all;
  }

  /** sum += a b. */
  private static void add(double[][] sum, double[][] a, double[][] b) {
    for (int i = 0; i < sum.length; i++) {
      for (int k = 0; k < b.length; k++) {
        double factor = a[i][k];
        if (factor != 0) {
          for (int j = 0; j < sum[i].length; j++) {
            sum[i][j] += factor * b[k][j];
          }
        }
      }
    }
  }

  /** Orthonormal rows (Gram and Schmidt), rows at most columns. */
  private static double[][] orthonormal(Random random, int rows, int columns) {
    double[][] result = normal(random, rows, columns, 1);
    for (int i = 0; i < rows; i++) {
      for (int pass = 0; pass < 2; pass++) { // a second pass takes the rounding of the first away
        for (int k = 0; k < i; k++) {
          double along = dot(result[i], result[k]);
          for (int j = 0; j < columns; j++) {
            result[i][j] -= along * result[k][j];
          }
        }
      }
      double norm = Math.sqrt(dot(result[i], result[i]));
      for (int j = 0; j < columns; j++) {
        result[i][j] /= norm;
      }
    }
    return result;
  }

  private static double[][] normal(Random random, int rows, int columns, double deviation) {
    double[][] result = new double[rows][columns];
    for (double[] row : result) {
      for (int j = 0; j < columns; j++) {
        row[j] = random.nextGaussian() * deviation;
      }
    }
    return result;
  }

  /** With a last column of zeros. */
  private static double[][] padded(double[][] rows) {
    return Arrays.stream(rows)
        .map(row -> Arrays.copyOf(row, row.length + 1))
        .toArray(double[][]::new);
  }

  private static double[][] transposed(double[][] a) {
    double[][] result = new double[a[0].length][a.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a[i].length; j++) {
        result[j][i] = a[i][j];
      }
    }
    return result;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static float[] flat(double[][] rows) {
    float[] all = new float[rows.length * rows[0].length];
    int at = 0;
    for (double[] row : rows) {
      for (double value : row) {
        all[at++] = (float) value;
      }
    }
    return all;
  }

  private static float[] ones(int n) {
    float[] ones = new float[n];
    Arrays.fill(ones, 1f);
    return ones;
  }
}
