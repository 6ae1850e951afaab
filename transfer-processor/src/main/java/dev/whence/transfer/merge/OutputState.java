package dev.whence.transfer.merge;

import dev.whence.files.FileProblem;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * What a run of a plan would find at its output, for the dry run: {@link MergeRun} refuses by the
 * same sentences. Looking writes nothing and keeps nobody out, so it may be otherwise a moment
 * later.
 *
 * @param found what is there
 * @param problems why a run would be refused; empty if it would not
 * @param neededBytes of the disk, without the tensors that an unfinished run of the same plan has
 *     finished
 * @param usableBytes that the disk has for it
 */
public record OutputState(Found found, List<String> problems, long neededBytes, long usableBytes) {
  static final long SPARE_BYTES = 16L << 20;

  /** What is at an output. */
  public enum Found {
    /** Nothing, or an empty directory. */
    NOTHING,
    /** This very transfer: a run has nothing to do. */
    THIS_TRANSFER,
    /** What a run of this plan left that was cut off: a run goes on with it. */
    UNFINISHED,
    /** What a run of another plan left that was cut off: a run removes it and begins anew. */
    UNFINISHED_OTHER,
    /** Something else: a run is refused. */
    OCCUPIED
  }

  public OutputState {
    problems = List.copyOf(problems);
  }

  /**
   * Looks at an output.
   *
   * @param output a directory of this machine
   * @throws TransferException if it can not be looked at
   */
  public static OutputState of(TransferPlan plan, Path output) {
    try {
      List<String> problems = new ArrayList<>();
      if (OutputLock.isHeld(output)) {
        problems.add("another transfer to " + output + " is running");
      }
      if (MergeRun.published(plan, output).isPresent()) {
        return new OutputState(Found.THIS_TRANSFER, problems, 0, usable(output));
      }
      Optional<String> occupied = occupied(output);
      Path unfinished = Staging.directory(output);
      Optional<Set<String>> noted = Journal.noted(Staging.journal(unfinished), plan.id());
      boolean ours = noted.isPresent();
      Found found =
          occupied.isPresent()
              ? Found.OCCUPIED
              : ours
                  ? Found.UNFINISHED
                  : Files.exists(unfinished) ? Found.UNFINISHED_OTHER : Found.NOTHING;
      occupied.ifPresent(problems::add);
      long written = noted.map(done -> writtenBytes(plan, done)).orElse(0L);
      long freed = ours ? 0 : Staging.bytes(unfinished);
      shortOfSpace(plan, output, written, freed).ifPresent(problems::add);
      return new OutputState(found, problems, needed(plan, written), usable(output) + freed);
    } catch (IOException e) {
      throw new TransferException(
          "the output " + output + " can not be looked at (" + FileProblem.of(e, output) + ")", e);
    }
  }

  /** Why an output can not take a result, other than that it has it. */
  public static Optional<String> occupied(Path output) throws IOException {
    if (Files.isSymbolicLink(output)) {
      return Optional.of(output + " is a link: give the directory that it leads to");
    }
    if (!Files.exists(output)) {
      return Optional.empty();
    }
    boolean empty = false;
    if (Files.isDirectory(output)) {
      try (var list = Files.list(output)) {
        empty = list.findAny().isEmpty();
      }
    }
    return empty
        ? Optional.empty()
        : Optional.of(
            output
                + " exists and is not the result of this transfer: give another output, or remove"
                + " it");
  }

  /**
   * Bytes of the results that are on disk for sure. The lengths of the files do not tell: the
   * largest tensors are written first, each at its place, and what lies before them takes no room
   * until it is written.
   *
   * @param noted names of the work in a journal of the plan
   */
  static long writtenBytes(TransferPlan plan, Set<String> noted) {
    return plan.request().lambdas().size()
        * plan.shards().stream()
            .flatMap(shard -> shard.tensors().stream())
            .filter(tensor -> noted.contains(tensor.name()))
            .mapToLong(TensorPlan::bytes)
            .sum();
  }

  /**
   * Why the disk can not take the results.
   *
   * @param written bytes of them that are there already
   * @param freed bytes that go before they are written
   */
  static Optional<String> shortOfSpace(TransferPlan plan, Path output, long written, long freed)
      throws IOException {
    return shortOfSpace(needed(plan, written), output, freed);
  }

  /** Why the disk can not take some bytes. */
  static Optional<String> shortOfSpace(long needed, Path output, long freed) throws IOException {
    long usable = usable(output) + freed;
    return usable >= needed
        ? Optional.empty()
        : Optional.of(
            "the results need "
                + needed
                + " bytes, but the disk of "
                + parent(output)
                + " has only "
                + usable
                + " left");
  }

  /**
   * How many models of some bytes the disk has room for at a time.
   *
   * @param most 1 to this number are said; where not even one fits, its merge is refused
   */
  public static int fitting(long bytes, Path output, int most) {
    try {
      long room = (usable(output) - SPARE_BYTES) / Math.max(1, bytes);
      return (int) Math.max(1, Math.min(most, room));
    } catch (IOException e) {
      throw new TransferException("the disk of " + output + " can not be looked at (" + e + ")", e);
    }
  }

  /**
   * Refuses gates for which there is no room: the candidate, and one model on its way at a time.
   *
   * @param candidate where the result lies while it is measured, if it is there already
   * @throws TransferException that is passing
   */
  public static void refuseShortOfGates(TransferPlan plan, Path candidate) {
    OutputState state = of(plan, candidate);
    long needed = state.neededBytes() + plan.outputBytes();
    if (state.found() == Found.THIS_TRANSFER) {
      needed += SPARE_BYTES;
    }
    if (needed > state.usableBytes()) {
      throw TransferException.passing(
          "the transferred model and one at a time that the gates measure need "
              + needed
              + " bytes, but the disk of "
              + parent(candidate)
              + " has only "
              + state.usableBytes()
              + " left",
          /* cause= */ null);
    }
  }

  private static long needed(TransferPlan plan, long written) {
    return plan.outputBytes() + SPARE_BYTES - written;
  }

  private static long usable(Path output) throws IOException {
    Path there = parent(output);
    while (!Files.exists(there)) {
      there = Objects.requireNonNull(there.getParent()); // the root exists
    }
    FileStore store = Files.getFileStore(there);
    return store.getUsableSpace();
  }

  private static Path parent(Path output) {
    Path parent = output.toAbsolutePath().normalize().getParent();
    if (parent == null) {
      throw new TransferException(output + " can not be an output: it has no parent directory");
    }
    return parent;
  }
}
