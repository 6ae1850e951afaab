package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/** Which branches of a decoder are computed together, and when. Its thread owns this, too. */
final class BranchScoring implements AutoCloseable {
  /** Most tokens that all threads compute at a time, where nobody has given a bound. */
  private static final int TOKENS_OF_ALL_THREADS = 8192;

  /** Most packs per thread, so that none is idle for long while others end. */
  private static final int PACKS_PER_THREAD = 4;

  /**
   * Times the least tokens of a pack: with fewer, a token takes longer, for each pack reads all
   * weights.
   */
  private static final long FULL_SPEED = 4;

  /**
   * Cores that share a pack wait for one another about a third of the time: apart they are faster
   * where at least so large a part of them has something to do.
   */
  private static final double BUSY = 0.65;

  /**
   * Small packs have a core to themselves down to one part in so many of the least tokens, in the
   * mean: one that cores share is slower yet (paragraph-first splice of 1,565 tokens and 40 sources
   * on 2 cores with AMX: 2.8 s in place of 1.7).
   */
  private static final long SMALLEST = 2;

  private final Decoder decoder;
  private final int budget;
  private final boolean bound;
  private final int least;
  private Optional<SideBySide> sideBySide = Optional.empty();

  /**
   * @param budget most tokens of a pack
   * @param bound whether that is the most that may be computed at a time, by however many threads
   * @param least tokens from which on matrix products have a good part of their speed
   */
  BranchScoring(Decoder decoder, int budget, boolean bound, int least) {
    this.decoder = decoder;
    this.budget = budget;
    this.bound = bound;
    this.least = least;
  }

  /**
   * Scores branches: packs of them side by side where the processor has several cores, else pack by
   * pack. Where the device runs out of memory, what is left goes on one pack at a time, each of
   * half the tokens of the one before, down to single branches.
   */
  List<double[]> score(
      KeyValues trunk, int trunkTokens, Optional<TrunkStates> states, List<Branch> branches) {
    states.ifPresent(s -> s.expect(branches));
    double[][] scores = new double[branches.size()][];
    int packTokens = scoreSideBySide(trunk, trunkTokens, states, branches, scores);
    List<Branch> left = new ArrayList<>();
    List<Integer> places = new ArrayList<>();
    for (int i = 0; i < scores.length; i++) {
      if (scores[i] == null) {
        left.add(branches.get(i));
        places.add(i);
      }
    }
    List<double[]> rest = new ArrayList<>(left.size());
    while (rest.size() < left.size()) {
      packTokens =
          score(
              trunk, trunkTokens, states, left.subList(rest.size(), left.size()), packTokens, rest);
    }
    for (int i = 0; i < rest.size(); i++) {
      scores[places.get(i)] = rest.get(i);
    }
    return Arrays.asList(scores);
  }

  /**
   * Scores what several threads can do at once; places that are left null are to be done yet.
   *
   * @return token budget of a pack for the rest
   */
  private int scoreSideBySide(
      KeyValues trunk,
      int trunkTokens,
      Optional<TrunkStates> states,
      List<Branch> branches,
      double[][] scores) {
    int cores = decoder.cores();
    int most = Math.min(cores * EngineOptions.DEFAULT_PACK_TOKENS, TOKENS_OF_ALL_THREADS);
    int atOnce = bound ? budget : Math.max(budget, most);
    int threads = Math.min(cores, atOnce / least);
    if (threads < 2 || branches.size() < 2) {
      return budget;
    }
    long all = 0;
    int longestBranch = 0;
    for (Branch branch : branches) {
      all += Packer.computed(branch);
      longestBranch = Math.max(longestBranch, Packer.computed(branch));
    }
    int longest = trunkTokens + longestBranch;
    int even = threads * packsPerThread(all / threads);
    int number = (int) Math.max(1, Math.min(even, SMALLEST * all / least));
    Packer packer = decoder.packer(longest, longest, atOnce / threads, threads);
    List<Packer.Run> runs =
        packer.evenRuns(branches, number).orElseGet(() -> packer.runs(branches)).stream()
            .filter(run -> fits(branches.subList(run.from(), run.to())))
            .sorted(Comparator.comparingInt(run -> -tokens(branches.subList(run.from(), run.to()))))
            .toList(); // the longest begin first, so that all threads end at about the same time
    if (!keepBusy(cores, atOnce, branches, runs)) {
      return budget;
    }
    List<Pack> packs = new ArrayList<>();
    List<SideBySide.Task<float[]>> tasks = new ArrayList<>();
    for (Packer.Run run : runs) {
      Pack pack = packer.pack(branches.subList(run.from(), run.to()));
      decoder.reach(pack); // here, where nobody reads it
      packs.add(pack);
    }
    for (int i = 0; i < packs.size(); i++) {
      Pack pack = packs.get(i);
      Packer.Run run = runs.get(i);
      Optional<TrunkStates> near = decoder.near(states, branches.subList(run.from(), run.to()));
      tasks.add(
          new SideBySide.Task<>(
              pack.size(), () -> Decoder.requireFinite(decoder.logProbs(trunk, pack, near))));
    }
    long start = System.nanoTime();
    List<Optional<float[]>> results = sideBySide(threads, atOnce).run(tasks);
    int rest = count(packs, results, (System.nanoTime() - start) * 1e-9);
    for (int i = 0; i < runs.size(); i++) {
      Packer.Run run = runs.get(i);
      if (results.get(i).isPresent()) {
        List<double[]> own = parted(results.get(i).get(), branches.subList(run.from(), run.to()));
        for (int b = 0; b < own.size(); b++) {
          scores[run.from() + b] = own.get(b);
        }
      }
    }
    return rest;
  }

  /** Packs of a thread that computes so many tokens. */
  private int packsPerThread(long tokens) {
    long packs = Math.round((double) tokens / (FULL_SPEED * least));
    return (int) Math.max(1, Math.min(PACKS_PER_THREAD, packs));
  }

  /** Counts what was computed and, if memory did not suffice for all, frees what can be freed. */
  private int count(List<Pack> packs, List<Optional<float[]>> results, double seconds) {
    List<Pack> complete = new ArrayList<>();
    int rest = budget;
    for (int i = 0; i < packs.size(); i++) {
      if (results.get(i).isPresent()) {
        complete.add(packs.get(i));
      } else {
        rest = Math.min(rest, packs.get(i).size());
      }
    }
    if (complete.size() == packs.size()) {
      decoder.record(complete, seconds);
    } else {
      Work unused = decoder.count(complete);
      decoder.limits().freeAll();
    }
    return rest;
  }

  /** Whether a pack of the branches has something to score, and no more tokens than a pack may. */
  private boolean fits(List<Branch> members) {
    int size = tokens(members);
    return size > 0 && size <= budget;
  }

  private static int tokens(List<Branch> members) {
    return members.stream().mapToInt(Packer::computed).sum();
  }

  /** Whether runs, one to a core and so many tokens at a time, keep enough of the cores busy. */
  private static boolean keepBusy(
      int cores, int atOnce, List<Branch> branches, List<Packer.Run> runs) {
    int[] sizes =
        runs.stream().mapToInt(run -> tokens(branches.subList(run.from(), run.to()))).toArray();
    int longest = Math.max(1, Arrays.stream(sizes).max().orElse(0));
    int together = Math.min(sizes.length, atOnce / longest); // no part of a pack runs
    double busy = Math.min((double) Arrays.stream(sizes).asLongStream().sum() / longest, together);
    return sizes.length > 1 && busy >= BUSY * cores;
  }

  /** The values of a pack's wanted rows, branch by branch. */
  private static List<double[]> parted(float[] values, List<Branch> members) {
    List<double[]> parts = new ArrayList<>(members.size());
    int at = 0;
    for (Branch branch : members) {
      double[] own = new double[branch.scored()];
      for (int i = 0; i < own.length; i++) {
        own[i] = values[at++];
      }
      parts.add(own);
    }
    return parts;
  }

  /**
   * Scores branches, in order, until all are done or a pack of several does not fit the device.
   *
   * @param scores of each branch that is done, added to
   * @return token budget for the rest, if there is one
   */
  private int score(
      KeyValues trunk,
      int trunkTokens,
      Optional<TrunkStates> states,
      List<Branch> branches,
      int packTokens,
      List<double[]> scores) {
    int longest = trunkTokens;
    for (Branch branch : branches) {
      longest = Math.max(longest, trunkTokens + Packer.computed(branch));
    }
    Packer packer = decoder.packer(longest, longest, packTokens, 1);
    for (Packer.Run run : packer.runs(branches)) {
      List<Branch> members = branches.subList(run.from(), run.to());
      Pack pack = packer.pack(members);
      float[] values;
      try {
        decoder.reach(pack); // before near: what it needs may free what near gives
        Optional<TrunkStates> near = decoder.near(states, members);
        values = pack.wanted().length == 0 ? new float[0] : decoder.score(trunk, pack, near);
      } catch (EngineException e) {
        decoder.limits().freeAfter(e);
        if (members.size() > 1) {
          return pack.size() / 2; // smaller than all members together: they will be parted
        }
        values =
            decoder
                .limits()
                .lastTime(
                    () -> decoder.score(trunk, pack, Optional.empty()),
                    () -> pack.sizes(trunkTokens));
      }
      scores.addAll(parted(values, members));
    }
    return packTokens;
  }

  private SideBySide sideBySide(int threads, int tokens) {
    if (sideBySide.isEmpty()) {
      sideBySide = Optional.of(new SideBySide(threads, tokens));
    }
    return sideBySide.get();
  }

  @Override
  public void close() {
    sideBySide.ifPresent(SideBySide::close);
  }
}
