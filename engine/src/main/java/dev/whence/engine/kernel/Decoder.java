package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.JniUtils;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.TrunkReuse;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.WeightSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * A model on a device: runs stretches of a trunk, keeping their keys and values, and packs of
 * branches over a trunk. One thread owns it; on a CPU it has others run packs side by side.
 */
public final class Decoder implements AutoCloseable {
  /** Most fp32 logits that a thread has at a time. */
  static final long LOGIT_BLOCK = 8L << 20;

  /** Logits that stay in the cache of a CPU while their exponentials are summed. */
  private static final long CACHED_LOGITS = 1L << 20;

  /** Fewest rows of the head that give a matrix product at full speed. */
  private static final long FAST_LOGITS = 1024;

  /** Most attention scores of one block that exist at a time, in elements. */
  static final long SCORE_BLOCK = 32L << 20;

  private final ModelConfig config;
  private final Kernel kernel;
  private final DecoderWeights weights;
  private final Precision precision;
  private final NativeMemory memory;
  private final DeviceRate rate;
  private final IValue shape;
  private final IValue epsilon;
  private final int budget;
  private final AttentionForm form;
  private final int mostBlockRows;
  private final boolean differences;
  private final IValue noStates;
  private final TrunkCache trunks;
  private final DecoderMemory limits;
  private final BranchScoring scoring;
  private IValue rotary;
  private int rotaryPositions;
  private Work done = Work.NONE;

  private Decoder(
      ModelConfig config,
      Kernel kernel,
      DecoderWeights weights,
      Precision precision,
      NativeMemory memory,
      GemmPeak peak,
      EngineOptions options,
      int budget,
      AttentionForm form,
      int mostBlockRows,
      boolean differences) {
    this.config = config;
    this.form = form;
    this.mostBlockRows = mostBlockRows;
    this.differences = differences;
    this.kernel = kernel;
    this.weights = weights;
    this.precision = precision;
    this.memory = memory;
    this.budget = budget;
    this.scoring =
        new BranchScoring(
            this, budget, options.memoryBytes() > 0 || options.packTokens() > 0, 2 * mostBlockRows);
    this.trunks = new TrunkCache(options.trunkCacheBytes());
    this.limits = new DecoderMemory(kernel, memory, options.memoryBytes(), trunks);
    this.rate =
        new DeviceRate(
            precision == Precision.BF16 ? peak.bf16() : peak.fp32(),
            differences && precision == Precision.BF16 ? peak.bf16() : peak.fp32(),
            config.layers());
    this.rotaryPositions = Math.min(config.maxPositions(), 2048);
    this.rotary = rotaryTable(rotaryPositions); // first: it is what can fail
    this.noStates = kernel.allocate(Precision.FP32, 0);
    this.shape =
        IValue.listFrom(
            (long) config.heads(),
            (long) config.keyValueHeads(),
            (long) config.headDim(),
            config.parallelResidual() ? 1L : 0L,
            config.activation().equals("gelu") ? 1L : 0L);
    this.epsilon = IValue.from(config.normEpsilon());
  }

  /**
   * Loads a model.
   *
   * @throws EngineException of kind MODEL if tensors are missing, misshapen or not finite, or the
   *     family is not known, ENVIRONMENT if the native library, device or memory fails
   */
  public static Decoder open(ModelConfig config, WeightSource source, EngineOptions options) {
    return open(
        config,
        source,
        options,
        text(config),
        AttentionPlan.BLOCK_ROWS,
        Optional.empty(),
        Optional.empty());
  }

  static KernelText text(ModelConfig config) {
    String family =
        switch (config.modelType()) {
          case "llama", "mistral", "qwen2", "qwen3" -> "llama";
          case "gpt_neox" -> "gpt_neox";
          default ->
              throw new EngineException(
                  Kind.MODEL,
                  "Model type \""
                      + config.modelType()
                      + "\" is none of llama, mistral, qwen2, qwen3, gpt_neox.");
        };
    boolean gelu = config.activation().startsWith("gelu");
    if (gelu != config.isGptNeoX()) {
      throw new EngineException(
          Kind.MODEL,
          "Activation \""
              + config.activation()
              + "\" is not known for model type "
              + config.modelType()
              + ".");
    }
    return KernelText.of(family);
  }

  /**
   * As {@link #open(ModelConfig, WeightSource, EngineOptions)}.
   *
   * @param text of the kernel
   * @param blockRows most query rows of an attention block that has scores
   * @param wanted form of attention; absent: the fastest
   * @param wantedDifferences whether logits of branches are computed as differences to the trunk's;
   *     absent: where that is faster
   */
  static Decoder open(
      ModelConfig config,
      WeightSource source,
      EngineOptions options,
      KernelText text,
      int blockRows,
      Optional<AttentionForm> wanted,
      Optional<Boolean> wantedDifferences) {
    Engine engine = TorchRuntime.start(options);
    Device device = TorchRuntime.device(engine, options.device());
    WeightLayout layout = WeightLayout.of(config, source.tensors());
    NativeMemory memory = new NativeMemory();
    Kernel kernel = Kernel.load(text, device);
    DecoderWeights weights = null;
    boolean complete = false;
    try {
      GemmPeak peak = GemmPeak.estimate(kernel);
      Precision precision =
          switch (options.dtype()) {
            case BF16 -> Precision.BF16;
            case FP32 -> Precision.FP32;
            case AUTO -> peak.bf16() > peak.fp32() ? Precision.BF16 : Precision.FP32;
          };
      long needed = DecoderWeights.bytes(layout, precision);
      if (options.memoryBytes() > 0 && needed > options.memoryBytes()) {
        throw new EngineException(
            Kind.ENVIRONMENT,
            String.format(
                Locale.ROOT,
                "The model's weights need %d bytes in %s, the memory budget is %d.",
                needed,
                precision.label(),
                options.memoryBytes()));
      }
      weights = DecoderWeights.load(kernel, config, source, layout, precision, memory);
      AttentionForm form = wanted.orElseGet(() -> AttentionForm.fastest(kernel, config, precision));
      kernel.emptyCache(); // what measuring and loading took is free, and the device says so
      int budget = PackBudget.of(config, precision, device, options, memory);
      boolean faster = precision == Precision.BF16 && peak.bf16() > peak.fp32();
      Decoder decoder =
          new Decoder(
              config,
              kernel,
              weights,
              precision,
              memory,
              peak,
              options,
              budget,
              form,
              blockRows,
              wantedDifferences.orElse(faster));
      complete = true;
      return decoder;
    } finally {
      if (!complete) { // errors too: the direct buffer may find no memory
        if (weights != null) {
          weights.close();
        }
        kernel.close();
      }
    }
  }

  /**
   * Capacity to ask {@link #room} for, so that a longer continuation can take it over: with some to
   * spare, unless the memory budget would then not hold another trunk of that length besides.
   */
  int capacity(int tokens) {
    int spare = trunks.capacity(tokens, config.maxPositions());
    return limits.canHold(roomBytes(spare) + roomBytes(tokens)) ? spare : tokens;
  }

  private long roomBytes(int capacity) {
    return 2L
        * config.layers()
        * config.keyValueHeads()
        * capacity
        * config.headDim()
        * precision.bytes();
  }

  /**
   * A trunk to be filled by {@link #extend}; {@link #limits} makes room for it.
   *
   * @throws EngineException of kind UNSUPPORTED if the memory budget does not have it
   */
  KeyValues room(int capacity) {
    long bytes = roomBytes(capacity);
    limits.makeRoomForTrunk(bytes, capacity);
    try (IValue like = kernel.allocate(precision, 0);
        IValue layers = IValue.from((long) config.layers());
        IValue kv = IValue.from((long) config.keyValueHeads());
        IValue size = IValue.from((long) capacity);
        IValue width = IValue.from((long) config.headDim())) {
      IValue list =
          limits.twice(
              () -> kernel.call("memory", like, layers, kv, size, width),
              () ->
                  String.format(
                      Locale.ROOT, "the keys and values of %d tokens, %d bytes", capacity, bytes));
      return new KeyValues(list, capacity, bytes, memory);
    }
  }

  /**
   * Computes tokens [from, tokens.length) of a sequence whose earlier tokens are in memory, in
   * stretches of the token budget, and keeps their keys and values.
   *
   * @param states where the hidden states of the rows that give the probabilities are kept
   * @return natural-log probabilities of tokens [scoredFrom, length), nats
   */
  double[] extend(
      KeyValues trunk, int[] tokens, int from, int scoredFrom, Optional<TrunkStates> states) {
    double[] scores = new double[tokens.length - scoredFrom];
    int done = 0;
    int start = from;
    int stretch = budget;
    while (start < tokens.length) {
      int end = Math.min(tokens.length, start + stretch);
      int at = start;
      Pack pack = packer(end, end - start).stretch(tokens, start, end, scoredFrom);
      int row = done;
      Optional<float[]> values =
          limits.unlessTooLarge(() -> score(trunk, pack, at, states, row), pack, start);
      if (values.isEmpty()) {
        stretch = pack.size() / 2;
        continue;
      }
      for (float value : values.get()) {
        scores[done++] = value;
      }
      start = end;
    }
    return scores;
  }

  /** The most probable token after a sequence whose tokens [0, from) are in memory. */
  int next(KeyValues trunk, int[] tokens, int from) {
    int start = from;
    int stretch = budget;
    while (true) {
      if (tokens.length - start > stretch) {
        int end = start + (tokens.length - start - 1) / stretch * stretch;
        int[] head = Arrays.copyOf(tokens, end);
        extend(trunk, head, start, end, Optional.empty());
        start = end;
      }
      int size = tokens.length - start;
      int at = start;
      // one more token, never read, makes the last row a wanted one
      Pack pack =
          packer(tokens.length, size)
              .stretch(
                  Arrays.copyOf(tokens, tokens.length + 1), start, tokens.length, tokens.length);
      Optional<Integer> next = limits.unlessTooLarge(() -> next(trunk, pack, at), pack, start);
      if (next.isPresent()) {
        return next.get();
      }
      stretch = size / 2;
    }
  }

  private int next(KeyValues trunk, Pack pack, int keepAt) {
    try (IValue block = IValue.from(logitBlock(1))) {
      long[] best = kernel.longs(run("next", trunk, pack, keepAt, block));
      if (best[0] < 0) {
        throw notFinite();
      }
      return (int) best[0];
    }
  }

  /** Scores branches of a trunk; see {@link BranchScoring#score}. */
  List<double[]> score(
      KeyValues trunk, int trunkTokens, Optional<TrunkStates> states, List<Branch> branches) {
    return scoring.score(trunk, trunkTokens, states, branches);
  }

  /**
   * Room for the states of a trunk's scored rows, where branches are faster with them and memory is
   * not short.
   *
   * @param scoredFrom first token of the trunk that is scored
   */
  Optional<TrunkStates> states(int[] tokens, int scoredFrom) {
    int rows = tokens.length - scoredFrom;
    int width = config.hiddenSize();
    int vocabulary = config.vocabularySize();
    long bytes = TrunkStates.bytes(rows, width + 1L + vocabulary);
    boolean spared =
        limits.canHold(bytes + roomBytes(tokens.length)); // as for the capacity of a trunk
    if (!differences || rows == 0 || bytes > TrunkStates.MOST_BYTES || !spared) {
      return Optional.empty();
    }
    limits.makeRoom(TrunkStates.bytes(rows, width));
    int[] targets = Arrays.copyOfRange(tokens, scoredFrom, tokens.length);
    return limits
        .unlessOutOfMemory(() -> kernel.allocate(Precision.FP32, rows, width))
        .map(
            room -> new TrunkStates(room, targets, width, vocabulary, memory, limits.openStates()));
  }

  /** The states, complete, if the branches' logits are to be computed as differences to them. */
  Optional<TrunkStates> near(Optional<TrunkStates> states, List<Branch> branches) {
    Optional<TrunkStates> able = states.filter(s -> s.serves(branches));
    able.filter(TrunkStates::due).ifPresent(s -> s.complete(() -> trunkLogProbs(s)));
    return able.filter(s -> s.logProbs().isPresent());
  }

  private Optional<IValue> trunkLogProbs(TrunkStates states) {
    if (!limits.canHold(states.bytesOfLogProbs())) {
      return Optional.empty();
    }
    limits.makeRoom(states.bytesOfLogProbs());
    int rows = states.targets().length;
    done = done.plus(Work.ofLogits(config, rows));
    try (IValue targets = IValue.listFrom(longs(states.targets()));
        IValue block = IValue.from(logitBlock(rows))) {
      return limits.unlessOutOfMemory(
          () -> kernel.call("trunkLogProbs", states.states(), weights.list(), targets, block));
    }
  }

  /** How many cores of a CPU share the calling thread's work; 1 on a GPU. */
  int cores() {
    return kernel.onGpu() ? 1 : TorchRuntime.threads();
  }

  /** Lets {@link #logProbs} of a pack change nothing. */
  void reach(Pack pack) {
    IValue unused = rotary(pack.highestPosition());
  }

  /** Counts packs, and learns from how long they took together. */
  void record(List<Pack> packs, double seconds) {
    rate.record(count(packs), packs.size(), seconds);
  }

  /** Counts packs. */
  Work count(List<Pack> packs) {
    Work work = Work.NONE;
    for (Pack pack : packs) {
      work = work.plus(Work.of(config, pack));
    }
    done = done.plus(work);
    return work;
  }

  /**
   * The attention that rows of a branch pay to groups of trunk tokens, mean over heads and layers.
   *
   * @param groupOf group of each trunk token, in [0, groups]; groups: counted nowhere
   * @return for each scored token of the branch, the row that predicts it: one value per group
   */
  double[][] attention(KeyValues trunk, int trunkTokens, Branch branch, int[] groupOf, int groups) {
    int own = Packer.computed(branch);
    Pack pack = // only products have weights to read
        packer((long) trunkTokens + own, own, budget, 1, AttentionForm.PRODUCTS)
            .pack(List.of(branch));
    try (IValue group = IValue.listFrom(longs(groupOf));
        IValue count = IValue.from((long) groups);
        IValue place = IValue.from(kernel.deviceName())) {
      return limits.twice(
          () -> inside("mass", trunk, pack, -1, groups, group, count, place),
          () -> pack.sizes(trunkTokens));
    }
  }

  /**
   * Sums of the hidden states after the last norm over groups of tokens of a sequence, computed
   * from its start.
   *
   * @param room that the sequence's keys and values fit in
   * @param groupOf group of each token, in [0, groups]; groups: counted nowhere
   * @return [groups][d]
   */
  double[][] stateSums(KeyValues room, int[] tokens, int[] groupOf, int groups) {
    double[][] sums = new double[groups][config.hiddenSize()];
    // one more token, never read, makes the last row a wanted one
    int[] longer = Arrays.copyOf(tokens, tokens.length + 1);
    int start = 0;
    int stretch = budget;
    while (start < tokens.length) {
      int end = Math.min(tokens.length, start + stretch);
      int at = start;
      Pack pack = packer(end, end - start).stretch(longer, start, end, 1);
      Optional<double[][]> part;
      try (IValue group = IValue.listFrom(longs(Arrays.copyOfRange(groupOf, start, end)));
          IValue count = IValue.from((long) groups)) {
        part =
            limits.unlessTooLarge(
                () -> inside("stateSums", room, pack, at, config.hiddenSize(), group, count),
                pack,
                start);
      }
      if (part.isEmpty()) {
        stretch = pack.size() / 2;
        continue;
      }
      for (int k = 0; k < groups; k++) {
        for (int i = 0; i < sums[k].length; i++) {
          sums[k][i] += part.get()[k][i];
        }
      }
      start = end;
    }
    return sums;
  }

  private double[][] inside(
      String method, KeyValues trunk, Pack pack, int keepAt, int columns, IValue... last) {
    float[] flat = kernel.floats(run(method, trunk, pack, keepAt, last));
    done = done.plus(Work.of(config, pack));
    double[][] rows = new double[columns == 0 ? 0 : flat.length / columns][columns];
    for (int i = 0; i < rows.length * columns; i++) {
      if (!Float.isFinite(flat[i])) {
        throw notFinite();
      }
      rows[i / columns][i % columns] = flat[i];
    }
    return rows;
  }

  private static long[] longs(int[] values) {
    return Arrays.stream(values).asLongStream().toArray();
  }

  /**
   * Natural-log probabilities of what a stretch of a trunk wants. Its keys and values are kept.
   *
   * @param at first token
   * @param row of the states where those of the wanted rows are kept
   */
  private float[] score(KeyValues trunk, Pack pack, int at, Optional<TrunkStates> states, int row) {
    return score(
        pack,
        () -> logProbs(trunk, pack, at, states.map(TrunkStates::states).orElse(noStates), row));
  }

  /**
   * Natural-log probabilities of what branches want.
   *
   * @param near as {@link #near} gives it for all of them
   */
  float[] score(KeyValues trunk, Pack pack, Optional<TrunkStates> near) {
    return score(pack, () -> logProbs(trunk, pack, near));
  }

  private float[] score(Pack pack, Supplier<float[]> forward) {
    long start = System.nanoTime();
    float[] values = forward.get();
    record(List.of(pack), (System.nanoTime() - start) * 1e-9);
    return requireFinite(values);
  }

  /** As {@link #score(KeyValues, Pack, Optional)}, unchecked; any thread, after {@link #reach}. */
  float[] logProbs(KeyValues trunk, Pack pack, Optional<TrunkStates> near) {
    Optional<IValue> trunkLogProbs = near.flatMap(TrunkStates::logProbs);
    if (trunkLogProbs.isPresent()) {
      IValue states = near.orElseThrow().states();
      IValue q = trunkLogProbs.get();
      try (IValue targets = IValue.listFrom(pack.targets());
          IValue block = IValue.from(logitBlock(pack.wanted().length))) {
        float[] values =
            kernel.floats(run("scoreNear", trunk, pack, -1, targets, block, states, q));
        if (allFinite(values)) {
          return values;
        }
      }
    }
    return logProbs(trunk, pack, -1, noStates, 0);
  }

  private float[] logProbs(KeyValues trunk, Pack pack, int keepAt, IValue states, int row) {
    try (IValue targets = IValue.listFrom(pack.targets());
        IValue block = IValue.from(logitBlock(pack.wanted().length));
        IValue at = IValue.from((long) row)) {
      return kernel.floats(run("score", trunk, pack, keepAt, targets, block, states, at));
    }
  }

  static float[] requireFinite(float[] values) {
    if (!allFinite(values)) {
      throw notFinite();
    }
    return values;
  }

  private static boolean allFinite(float[] values) {
    for (float value : values) {
      if (!Float.isFinite(value)) {
        return false;
      }
    }
    return true;
  }

  private static EngineException notFinite() {
    return new EngineException(
        Kind.RECORD, "The model's log-probabilities for this input are not finite numbers.");
  }

  private IValue run(String method, KeyValues trunk, Pack pack, int keepAt, IValue... last) {
    IValue table = rotary(pack.highestPosition());
    try (IValue ids = IValue.listFrom(pack.tokens());
        IValue positions = IValue.listFrom(pack.positions());
        IValue plan = IValue.listFrom(pack.plan().code());
        IValue lastPlan = IValue.listFrom(pack.lastPlan().code());
        IValue limits = IValue.listFrom(pack.plan().limits());
        IValue lastLimits = IValue.listFrom(pack.lastPlan().limits());
        IValue keep = IValue.from((long) keepAt);
        IValue wanted = IValue.listFrom(pack.wanted())) {
      List<IValue> arguments =
          new ArrayList<>(
              List.of(
                  weights.list(),
                  trunk.list(),
                  table,
                  ids,
                  positions,
                  plan,
                  lastPlan,
                  limits,
                  lastLimits,
                  keep,
                  shape,
                  epsilon,
                  wanted));
      arguments.addAll(List.of(last));
      return kernel.call(method, arguments.toArray(new IValue[0]));
    }
  }

  /** A table that reaches the position; grows by doubling. */
  private IValue rotary(long highest) {
    if (highest >= rotaryPositions) {
      int wanted = Math.toIntExact(Math.max(highest + 1, 2L * rotaryPositions));
      IValue larger =
          limits.twice(
              () -> rotaryTable(wanted), () -> "the rotations of " + wanted + " positions");
      rotary.close();
      rotary = larger;
      rotaryPositions = wanted;
    }
    return rotary;
  }

  private IValue rotaryTable(int positions) {
    double[] frequencies =
        config.rotary().inverseFrequencies().stream().mapToDouble(Double::doubleValue).toArray();
    try (IValue f = IValue.listFrom(frequencies);
        IValue factor = IValue.from(config.rotary().attentionFactor());
        IValue count = IValue.from((long) positions);
        IValue place = IValue.from(kernel.deviceName())) {
      return kernel.call("rotary", f, factor, count, place);
    }
  }

  private Packer packer(long keys, int rows) {
    return packer(keys, rows, budget, 1);
  }

  /**
   * @param sharers packs that are computed at a time
   */
  Packer packer(long keys, int rows, int packTokens, int sharers) {
    return packer(keys, rows, packTokens, sharers, form);
  }

  private Packer packer(
      long keys, int rows, int packTokens, int sharers, AttentionForm attentionForm) {
    long perRow = config.heads() * Math.max(1, keys) * sharers;
    int blockRows = (int) Math.max(1, Math.min(mostBlockRows, SCORE_BLOCK / Math.max(1, perRow)));
    return new Packer(
        packTokens,
        config.slidingWindow(),
        attentionForm,
        Math.min(blockRows, Math.max(1, rows)),
        config.heads() / config.keyValueHeads());
  }

  /** Vocabulary entries per block of logits, for so many rows. */
  private long logitBlock(int rows) {
    // the head's block is widened to fp32, too
    long entries = LOGIT_BLOCK / Math.max(rows, config.hiddenSize());
    if (!kernel.onGpu()) {
      entries = Math.min(entries, Math.max(FAST_LOGITS, CACHED_LOGITS / Math.max(1, rows)));
    }
    return Math.max(256, Math.min(entries, config.vocabularySize()));
  }

  /**
   * What a trunk and branches over it cost, by formula.
   *
   * @param trunkTokens computed for the trunk; 0 = it exists
   */
  public Work work(int trunkTokens, int trunkScored, List<Branch> branches) {
    Packer packer = packer(1, budget);
    Work work = Work.NONE;
    if (trunkTokens > 0) {
      // pairs do not depend on the token ids, nor on how the trunk is cut
      Pack whole = packer.stretch(new int[trunkTokens], 0, trunkTokens, trunkTokens - trunkScored);
      work = Work.of(config, whole);
    }
    for (Branch branch : branches) {
      if (branch.scored() > 0) {
        work = work.plus(Work.of(config, packer.pack(List.of(branch))));
      }
    }
    return work;
  }

  /** Most tokens of one forward, single branches excepted. */
  public int packTokens() {
    return budget;
  }

  /** Predicted seconds, from the rates measured so far. */
  public double seconds(Work work) {
    return rate.seconds(work, (work.tokens() + budget - 1) / budget);
  }

  /** Keys and values of closed trunks. */
  TrunkCache trunks() {
    return trunks;
  }

  /** How much of its trunks was taken over from earlier ones. Any thread. */
  public TrunkReuse trunkReuse() {
    return trunks.statistics();
  }

  /** All work done so far. */
  public Work done() {
    return done;
  }

  public ModelConfig config() {
    return config;
  }

  /** "bf16" or "fp32". */
  public String dtype() {
    return precision.label();
  }

  public String deviceName() {
    return kernel.deviceName();
  }

  public long parameters() {
    return weights.parameters();
  }

  /** What may be held on the device, and what is freed where that does not suffice. */
  DecoderMemory limits() {
    return limits;
  }

  /** Bytes held on the device. */
  public NativeMemory memory() {
    return memory;
  }

  /** Threads of one operation. */
  public static int threads() {
    return JniUtils.getNumThreads();
  }

  @Override
  public void close() {
    scoring.close();
    trunks.close();
    rotary.close();
    noStates.close();
    shape.close();
    epsilon.close();
    weights.close();
    kernel.close();
  }
}
