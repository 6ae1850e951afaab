package dev.whence.attribution.remote;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelText;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.IntStream;

/**
 * A model behind an inference server: for targets that need several accelerators. It is asked for
 * log-probabilities of whole token sequences; what sequences share is left to the server's prefix
 * cache, for which those that share most with the trunk are sent first.
 *
 * <p>Prompts are rendered and tokenised here, with the model's own tokenizer and template. A server
 * that reads other tokens, serves another model or gives no log-probabilities is refused in one
 * sentence (kind MODEL); one that does not answer is asked again, then left alone for a while (kind
 * ENVIRONMENT: nothing is given up for it).
 *
 * <p>Branches may see a beginning of the trunk and nothing else: a server can not splice.
 */
public final class RemoteScorer implements Scorer {
  private static final double LEAST_PATIENCE = 45;

  private final ModelText text;
  private final ServerApi api;
  private final ServerCalls calls;
  private final RemoteOptions options;
  private final ScorerDescription description;

  /** Whether the server has scored something: what it answers wrongly then is about one input. */
  private boolean proven;

  /** Tokens per second of the last calls, all requests at a time together. */
  private volatile double rate = 2000;

  private RemoteScorer(ModelText text, RemoteOptions options) {
    this.text = text;
    this.options = options;
    this.api = ServerApi.of(options.protocol(), text.tokenizer());
    this.calls = new ServerCalls(options);
    this.description =
        new ScorerDescription(
            options.model().orElse(text.name()),
            "",
            options.dtype(),
            "remote",
            text.config().modelType(),
            text.config().layers(),
            text.config().maxPositions(),
            false,
            0,
            options.aliases());
  }

  /**
   * Connects to a server.
   *
   * @param text tokenizer, template and shape of the model that it serves; belongs to the scorer
   *     from here on
   * @throws EngineException of kind MODEL if it serves another model than the one that is named,
   *     ENVIRONMENT if it does not answer
   */
  public static RemoteScorer open(ModelText text, RemoteOptions options) {
    RemoteScorer scorer = new RemoteScorer(text, options);
    boolean complete = false;
    try {
      scorer.checkModel();
      scorer.probe();
      complete = true;
      return scorer;
    } finally {
      if (!complete) {
        scorer.close();
      }
    }
  }

  private void checkModel() {
    if (options.model().isEmpty()) {
      return;
    }
    JsonNode models = read(await(calls.get(api.modelsPath()), LEAST_PATIENCE));
    if (!api.serves(models, options.model().get())) {
      throw new EngineException(
          Kind.MODEL,
          "the server at "
              + options.where()
              + " does not serve the model '"
              + options.model().get()
              + "'");
    }
  }

  /**
   * Scores a few tokens: what a server can not do at all is found here, and not record by record.
   */
  private void probe() {
    int[] tokens = text.tokenizer().encode("one two three").ids();
    try {
      if (tokens.length > 1) {
        score(List.of(new Sequence(tokens, 1)));
      }
      proven = true;
    } catch (EngineException e) {
      if (e.kind() == Kind.ENVIRONMENT) {
        throw e;
      }
      throw new EngineException(
          Kind.MODEL,
          "the server at " + options.where() + " does not score prompts: " + e.getMessage());
    }
  }

  @Override
  public ScorerDescription description() {
    return description;
  }

  @Override
  public Tokenizer tokenizer() {
    return text.tokenizer();
  }

  @Override
  public PromptTemplate template() {
    return text.template();
  }

  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record RemoteTrunk(int[] tokens, int scoredFrom, double[] logProbs) implements Trunk {
    @Override
    public int length() {
      return tokens.length;
    }

    @Override
    public long bytes() {
      return 0;
    }

    @Override
    public void close() {}
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    if (tokens.length > description.maxPositions()) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "The sequence has "
              + tokens.length
              + " tokens; the model takes at most "
              + description.maxPositions()
              + ".");
    }
    double[] logProbs = score(List.of(new Sequence(tokens.clone(), scoredFrom))).get(0);
    return new RemoteTrunk(tokens.clone(), scoredFrom, logProbs);
  }

  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Sequence(int[] tokens, int scoredFrom) {}

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    int[] trunkTokens = trunk.tokens();
    List<Sequence> sequences =
        branches.stream().map(branch -> sequence(trunkTokens, branch)).toList();
    List<Integer> order =
        IntStream.range(0, branches.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> -seen(branches.get(i))))
            .toList();
    List<double[]> sorted = score(order.stream().map(sequences::get).toList());
    List<double[]> scores = new ArrayList<>(branches.stream().map(b -> new double[0]).toList());
    for (int i = 0; i < order.size(); i++) {
      scores.set(order.get(i), sorted.get(i));
    }
    return scores;
  }

  private static int seen(Branch branch) {
    return branch.views().isEmpty() ? 0 : branch.views().get(0).to();
  }

  private static Sequence sequence(int[] trunk, Branch branch) {
    int shared = seen(branch);
    boolean whole =
        branch.views().size() <= 1
            && branch.views().stream().allMatch(RemoteScorer::isBeginning)
            && branch.positions()[0] == shared
            && branch.positions()[branch.positions().length - 1]
                == shared + branch.positions().length - 1;
    if (!whole) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "A server scores whole prompts and can not splice them: choose a method of exact, naive or"
              + " hierarchical leave-one-out, proxy-pruning or contextcite.");
    }
    int[] tokens = Arrays.copyOf(trunk, shared + branch.tokens().length);
    System.arraycopy(branch.tokens(), 0, tokens, shared, branch.tokens().length);
    return new Sequence(tokens, shared + branch.scoredFrom());
  }

  private static boolean isBeginning(View view) {
    return view.from() == 0 && view.shift() == 0;
  }

  private List<double[]> score(List<Sequence> sequences) {
    long start = System.nanoTime();
    List<CompletableFuture<String>> answers = new ArrayList<>();
    for (Sequence sequence : sequences) {
      answers.add(
          calls.post(
              api.path(),
              api.request(sequence.tokens(), sequence.scoredFrom(), options.model()).toString()));
    }
    long tokens = sequences.stream().mapToLong(sequence -> sequence.tokens().length).sum();
    // Below the time after which a process that hangs is halted.
    double patience = Math.max(LEAST_PATIENCE, 5 * tokens / rate);
    List<double[]> scores = new ArrayList<>();
    try {
      for (int i = 0; i < sequences.size(); i++) {
        Sequence sequence = sequences.get(i);
        double left = patience - (System.nanoTime() - start) * 1e-9;
        JsonNode answer = read(await(answers.get(i), left));
        answers.set(i, new CompletableFuture<>()); // what was read need not be kept
        scores.add(api.logProbs(answer, sequence.tokens(), sequence.scoredFrom()));
      }
    } catch (EngineException e) {
      answers.forEach(answer -> answer.cancel(true));
      throw proven && e.kind() == Kind.MODEL
          ? new EngineException(Kind.UNSUPPORTED, String.valueOf(e.getMessage()), e)
          : e;
    }
    double seconds = Math.max(1e-4, (System.nanoTime() - start) * 1e-9);
    rate = 0.8 * rate + 0.2 * tokens / seconds;
    return scores;
  }

  private JsonNode read(String answer) {
    try {
      return ServerApi.JSON.readTree(answer);
    } catch (JsonProcessingException e) {
      throw new EngineException(
          Kind.MODEL,
          "the server at " + options.where() + " answers with something else than JSON");
    }
  }

  private String await(CompletableFuture<String> answer, double seconds) {
    try {
      return answer.get((long) (Math.max(0, seconds) * 1e3), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      throw new EngineException(
          Kind.ENVIRONMENT, "the server at " + options.where() + " takes too long");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EngineException(
          Kind.ENVIRONMENT, "the server at " + options.where() + " was not waited for");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof EngineException known) {
        throw known;
      }
      throw new IllegalStateException("a call failed in a way that it should not", e.getCause());
    }
  }

  /** {@inheritDoc} Floating point operations are not known and given as 0. */
  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    long tokens = trunkTokens;
    for (Branch branch : branches) {
      tokens += branch.tokens().length;
    }
    return new WorkEstimate(tokens, 0, tokens / rate);
  }

  @Override
  public void close() {
    calls.close();
    text.close();
  }
}
