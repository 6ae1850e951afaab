package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.IntStream;

/** A token sequence that a {@link Decoder} ran once, with its keys and values on the device. */
public final class Sequence implements Trunk {
  private final int[] tokens;
  private final int scoredFrom;
  private final double[] logProbs;
  private final KeyValues keyValues;
  private final Optional<TrunkStates> states;
  private final int reused;
  private final Decoder decoder;
  private boolean closed;

  private Sequence(
      int[] tokens,
      int scoredFrom,
      double[] logProbs,
      KeyValues keyValues,
      Optional<TrunkStates> states,
      int reused,
      Decoder decoder) {
    this.tokens = tokens;
    this.scoredFrom = scoredFrom;
    this.logProbs = logProbs;
    this.keyValues = keyValues;
    this.states = states;
    this.reused = reused;
    this.decoder = decoder;
  }

  /**
   * Runs a sequence.
   *
   * @param scoredFrom first token whose log-probability is wanted, in [1, length]
   */
  public static Sequence run(Decoder decoder, int[] tokens, int scoredFrom) {
    check(decoder, tokens, tokens.length);
    if (scoredFrom < 1 || scoredFrom > tokens.length) {
      throw new IllegalArgumentException(
          "scoredFrom " + scoredFrom + " is not in [1, " + tokens.length + "]");
    }
    int[] own = tokens.clone();
    TrunkCache cache = decoder.trunks();
    // The row before the first scored token gives its probability: it is computed anew.
    Optional<TrunkCache.Match> match = cache.take(own, scoredFrom - 1);
    int from = match.map(TrunkCache.Match::reused).orElse(0);
    KeyValues room =
        match.isPresent() ? match.get().room() : decoder.room(decoder.capacity(own.length));
    Optional<TrunkStates> states = Optional.empty();
    boolean complete = false;
    try {
      states = decoder.states(own, scoredFrom);
      double[] logProbs = decoder.extend(room, own, from, scoredFrom, states);
      complete = true;
      return new Sequence(own, scoredFrom, logProbs, room, states, from, decoder);
    } finally {
      if (!complete) {
        states.ifPresent(TrunkStates::close);
        room.close();
      }
    }
  }

  /** Refuses ids that are no tokens of the model, and lengths that it was not made for. */
  static void check(Decoder decoder, int[] tokens, long length) {
    int longest = decoder.config().maxPositions();
    if (length > longest) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          String.format(
              Locale.ROOT,
              "The sequence has %d tokens; the model takes at most %d.",
              length,
              longest));
    }
    int vocabulary = decoder.config().vocabularySize();
    for (int token : tokens) {
      if (token < 0 || token >= vocabulary) {
        throw new IllegalArgumentException(
            "token id " + token + " is not in the model's vocabulary of " + vocabulary);
      }
    }
  }

  /**
   * Scores branches of this sequence.
   *
   * @return natural-log probabilities of each branch's tokens [scoredFrom, length), nats
   */
  public List<double[]> score(Decoder scoring, List<Branch> branches) {
    requireOpen(scoring);
    for (Branch branch : branches) {
      check(branch);
    }
    return decoder.score(keyValues, tokens.length, states, branches);
  }

  /**
   * The attention that the rows which predict the scored tokens of this sequence pay to groups of
   * its tokens, mean over heads and layers. Those rows are computed anew, over the keys and values
   * of the others.
   *
   * @param groupOf group of each token, in [0, groups]; groups: counted nowhere
   * @return for each scored token, in order, one value per group
   */
  double[][] attention(Decoder scoring, int[] groupOf, int groups) {
    requireOpen(scoring);
    int first = scoredFrom - 1;
    int[] own = Arrays.copyOfRange(tokens, first, tokens.length);
    int[] positions = IntStream.range(first, tokens.length).toArray();
    List<View> views = first == 0 ? List.of() : List.of(new View(0, first, 0));
    Branch branch = new Branch(views, own, positions, 1);
    return decoder.attention(keyValues, tokens.length, branch, groupOf, groups);
  }

  private void requireOpen(Decoder scoring) {
    if (scoring != decoder) {
      throw new IllegalArgumentException("the trunk was made by another scorer");
    }
    if (closed) {
      throw new IllegalStateException("the trunk is closed");
    }
  }

  private void check(Branch branch) {
    int[] positions = branch.positions();
    check(decoder, branch.tokens(), (long) positions[positions.length - 1] + 1);
    for (View view : branch.views()) {
      if (view.to() > tokens.length) {
        throw new IllegalArgumentException(
            view + " reaches past the trunk's " + tokens.length + " tokens");
      }
      if (view.shift() != 0 && decoder.config().rotary().lengthDependent()) {
        throw new EngineException(
            Kind.UNSUPPORTED,
            "This model's positions depend on the sequence's length: its keys can not be shifted.");
      }
    }
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
    return Arrays.copyOf(logProbs, logProbs.length);
  }

  @Override
  public long bytes() {
    return keyValues.bytes() + states.map(TrunkStates::bytes).orElse(0L);
  }

  @Override
  public int reused() {
    return reused;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      states.ifPresent(TrunkStates::close);
      decoder.trunks().keep(tokens, keyValues);
    }
  }
}
