package dev.whence.influence.query;

import dev.whence.influence.index.QueryPlanes;
import dev.whence.influence.index.RotatedSketch;
import dev.whence.influence.index.ShardFile;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/**
 * Looks through shards for the documents with the largest scalar products with queries, of both
 * signs: estimates of influence are &lt;q^, g^&gt; / N, with a standard error of |q^| |g^| sqrt(pi
 * / (2 k)) / N (see {@link dev.whence.influence.index.SignCodes}). Several queries share one
 * reading of the signs.
 *
 * <p>The scan has the query in two bits. It keeps {@value #SHORTLIST} times as many documents as
 * are wanted, which are compared once more with the query in full.
 */
public final class IndexScan {
  private static final int SHORTLIST = 4;

  /** Scalar products that are in memory together, of all queries that share a reading: 256 MiB. */
  private static final int PRODUCTS_AT_ONCE = 1 << 26;

  private IndexScan() {}

  /**
   * A document that may be among the most influential.
   *
   * @param shard its shard
   * @param document its number there
   * @param estimate nats
   * @param standardError of the estimate, nats
   */
  public record Candidate(ShardFile shard, int document, double estimate, double standardError) {}

  /**
   * The candidates of a query.
   *
   * @param positive the largest estimates, descending
   * @param negative the smallest estimates, ascending
   */
  public record Candidates(List<Candidate> positive, List<Candidate> negative) {
    /** Those of several shards together, cut to the same size. */
    public Candidates plus(Candidates other, int most) {
      return new Candidates(
          merged(positive, other.positive, most, DESCENDING),
          merged(negative, other.negative, most, DESCENDING.reversed()));
    }

    /** Those of some of the shards. */
    public Candidates of(Collection<ShardFile> shards) {
      return new Candidates(
          positive.stream().filter(one -> shards.contains(one.shard())).toList(),
          negative.stream().filter(one -> shards.contains(one.shard())).toList());
    }

    private static List<Candidate> merged(
        List<Candidate> a, List<Candidate> b, int most, Comparator<Candidate> order) {
      List<Candidate> all = new ArrayList<>(a);
      all.addAll(b);
      return all.stream().sorted(order).limit(most).toList();
    }
  }

  private static final Comparator<Candidate> DESCENDING =
      Comparator.comparingDouble((Candidate candidate) -> -candidate.estimate())
          .thenComparing(candidate -> candidate.shard().number())
          .thenComparing(Candidate::document);

  /**
   * A query as scans have it, for all shards.
   *
   * <p>Estimates are of any document, whatever chose it.
   */
  public static final class Asked {
    private final QueryPlanes coarse;
    private final QueryPlanes fine;
    private final int most;
    private final double tokens;
    private final double unit;

    /**
     * @param most candidates of each sign
     */
    public Asked(MultiStageQuery.Preconditioned query, int most) {
      RotatedSketch rotated = RotatedSketch.of(query.sketch());
      this.coarse = QueryPlanes.coarse(rotated);
      this.fine = QueryPlanes.fine(rotated);
      this.most = most;
      this.tokens = query.tokens();
      this.unit = query.norm() * Math.sqrt(Math.PI / 2 / query.sketch().length) / tokens;
    }

    /** Candidates of each sign that are wanted. */
    public int most() {
      return most;
    }

    /** Documents with their estimates, in their order. */
    public List<Candidate> estimates(ShardFile shard, List<Integer> documents) {
      double[] products = shard.products(fine, documents);
      List<Candidate> candidates = new ArrayList<>();
      for (int i = 0; i < products.length; i++) {
        int document = documents.get(i);
        candidates.add(
            new Candidate(shard, document, products[i] / tokens, unit * shard.norm(document)));
      }
      return candidates;
    }
  }

  /**
   * Candidates of each query in one shard.
   *
   * @throws dev.whence.influence.InfluenceException if the shard was changed since it was opened
   */
  public static List<Candidates> scan(ShardFile shard, List<Asked> queries) {
    return scan(shard, queries, PRODUCTS_AT_ONCE);
  }

  static List<Candidates> scan(ShardFile shard, List<Asked> queries, int productsAtOnce) {
    int atOnce = Math.max(1, productsAtOnce / Math.max(1, shard.size()));
    List<Candidates> found = new ArrayList<>();
    for (int from = 0; from < queries.size(); from += atOnce) {
      found.addAll(
          scanAtOnce(shard, queries.subList(from, Math.min(queries.size(), from + atOnce))));
    }
    return found;
  }

  private static List<Candidates> scanAtOnce(ShardFile shard, List<Asked> queries) {
    float[][] products = shard.scan(queries.stream().map(query -> query.coarse).toList());
    List<Candidates> found = new ArrayList<>();
    for (int q = 0; q < queries.size(); q++) {
      found.add(
          new Candidates(
              candidates(shard, queries.get(q), products[q], 1),
              candidates(shard, queries.get(q), products[q], -1)));
    }
    return found;
  }

  private static List<Candidate> candidates(
      ShardFile shard, Asked query, float[] products, int sign) {
    int shortlist = (int) Math.min(products.length, (long) query.most * SHORTLIST);
    return query.estimates(shard, largest(products, shortlist, sign)).stream()
        .sorted(sign > 0 ? DESCENDING : DESCENDING.reversed())
        .limit(query.most)
        .toList();
  }

  private static List<Integer> largest(float[] scores, int most, int sign) {
    PriorityQueue<Integer> smallestFirst =
        new PriorityQueue<>(
            Comparator.comparingDouble((Integer i) -> sign * scores[i])
                .thenComparing(Comparator.<Integer>naturalOrder().reversed()));
    for (int i = 0; i < scores.length; i++) {
      if (smallestFirst.size() < most) {
        smallestFirst.add(i);
      } else if (!smallestFirst.isEmpty()
          && sign * scores[i] > sign * scores[smallestFirst.element()]) {
        smallestFirst.remove();
        smallestFirst.add(i);
      }
    }
    return List.copyOf(smallestFirst);
  }
}
