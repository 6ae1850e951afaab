package dev.whence.transfer.place;

import dev.whence.buckets.BucketUpload;
import dev.whence.buckets.LostObjectException;
import dev.whence.files.FileTree;
import dev.whence.files.Sha256;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.BusyException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.OutputLock;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.StoppedException;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.Verification;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A prefix of a bucket. A store has no rename, so the order of the objects is what makes a result
 * appear at once: the weights first, then texts, then {@code config.json}, without which no loader
 * takes the prefix for a model, and the manifest last. Objects carry the plan's id and are never
 * put over others: of two plans one fails, and of two runs of one plan both succeed.
 *
 * <p>Tensors are compared with the manifest once more before they are sent, and right before the
 * manifest the store is asked whether every other object is there. A run that was killed, or that
 * the store or the network cut off, keeps its directory; the next one gives up the parts that it
 * has begun and sends what is not there. So does one that the store refused, once somebody has
 * given the right to write there, say: a merge may have taken hours. The directory is removed
 * afterwards, and where something else is at the place already. No object is ever removed: without
 * a manifest it is no release, and with one it may be another run's.
 */
final class BucketDestination implements Destination {
  private static final Logger LOG = LoggerFactory.getLogger(BucketDestination.class);
  private static final int NAME_DIGITS = 16;
  private static final int MANIFEST_TURN = 3;

  private final Path place;
  private final Path directory;
  private final long partBytes;

  BucketDestination(Path place, Path work) {
    this(place, work, BucketUpload.PART);
  }

  /**
   * @param partBytes what is sent at once
   */
  BucketDestination(Path place, Path work, long partBytes) {
    this.place = place.toAbsolutePath().normalize();
    if (this.place.getNameCount() == 0) {
      throw new TransferException(place + " is a whole bucket: give a key for the model, too");
    }
    this.directory =
        work.toAbsolutePath()
            .normalize()
            .resolve(
                Sha256.of(this.place.toString()).substring(0, NAME_DIGITS)
                    + "-"
                    + this.place.getFileName());
    this.partBytes = partBytes;
  }

  @Override
  public Path place() {
    return place;
  }

  @Override
  public Path directory() {
    return directory;
  }

  @Override
  public Optional<Published> there(TransferPlan plan) {
    List<Published.Model> models = new ArrayList<>();
    for (Path one : MergeRun.places(plan, place)) {
      Manifest.read(one)
          .filter(manifest -> manifest.plan().equals(plan.id()))
          .ifPresent(manifest -> models.add(new Published.Model(one, manifest)));
    }
    if (models.size() == plan.request().lambdas().size()) {
      return Optional.of(new Published(plan.id(), models, true));
    }
    try {
      Optional<String> foreign =
          new BucketUpload(place, plan.id(), partBytes, sent -> {}).foreign();
      if (foreign.isPresent()) {
        throw new TransferException(
            foreign.get()
                + " exists and is not of this transfer: give another output, or remove what is"
                + " there");
      }
    } catch (IOException e) {
      throw failed(e);
    }
    return Optional.empty();
  }

  @Override
  public Optional<Published> unpublished() {
    if (!Files.isDirectory(directory)) {
      return Optional.empty();
    }
    List<Published.Model> models = new ArrayList<>();
    try (var all = Files.walk(directory, 2)) {
      for (Path one : all.filter(Files::isDirectory).toList()) {
        Manifest.read(one).ifPresent(found -> models.add(new Published.Model(one, found)));
      }
    } catch (IOException e) {
      throw failed(e);
    }
    return models.isEmpty()
        ? Optional.empty()
        : Optional.of(new Published(models.get(0).manifest().plan(), models, true));
  }

  private BucketUpload upload(String planId, LongConsumer sent) {
    return new BucketUpload(place, planId, partBytes, sent, begun());
  }

  /** Beside the directory, whose lock says that there is one writer. */
  private Path begun() {
    return directory.resolveSibling("." + directory.getFileName() + ".uploads");
  }

  /** What time may heal is told as such; all else would be tried for ever. */
  private TransferException failed(IOException e) {
    String sentence = "the transfer to " + place + " failed (" + e.getMessage() + ")";
    if (mayPass(e)) {
      return new TransferException(
          sentence + "; what is finished stays in " + directory + " and is sent by the next run",
          new EnvironmentException(sentence, e));
    }
    if (!Files.isDirectory(directory)) {
      return new TransferException(sentence, e); // nothing is finished, or it was of no use
    }
    return new TransferException(
        sentence
            + "; what is finished stays in "
            + directory
            + ": set right what is wrong and ask for the same transfer again, which sends it, or"
            + " remove it",
        e);
  }

  /** A store that does not answer now, an object that somebody removed, a run that is to end. */
  static boolean mayPass(IOException e) {
    return TransferException.isOfEnvironment(e)
        || e instanceof LostObjectException
        || e instanceof InterruptedIOException;
  }

  @Override
  public Published publish(Published merged, MergeProgress progress, BooleanSupplier stop) {
    if (merged.models().stream().noneMatch(model -> model.directory().startsWith(directory))) {
      forgetCopy();
      return merged; // it is at its place
    }
    try {
      OutputLock held = OutputLock.of(directory);
      try {
        return locked(merged, progress, stop);
      } finally {
        held.close();
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Of a run that was cut off when it had published. */
  private void forgetCopy() {
    if (!Files.exists(directory)) {
      return;
    }
    try {
      OutputLock held = OutputLock.of(directory);
      try {
        removeCopy();
      } finally {
        held.close();
      }
    } catch (BusyException e) {
      LOG.debug("{} has a writer, which removes it", directory);
    } catch (IOException e) {
      LOG.warn("{} could not be removed: {}", directory, e.toString());
    }
  }

  private Published locked(Published merged, MergeProgress progress, BooleanSupplier stop)
      throws IOException {
    Published atItsPlace = atItsPlace(merged);
    if (atItsPlace.models().stream().allMatch(model -> isThere(model, merged.planId()))) {
      removeCopy(); // a run was cut off while it did
      return atItsPlace;
    }
    for (Published.Model model : merged.models()) {
      List<String> problems = Verification.of(model.directory());
      if (!problems.isEmpty()) {
        FileTree.delete(directory);
        throw new TransferException(problems);
      }
    }
    List<Path> files = files();
    long total = 0;
    for (Path file : files) {
      total += Files.size(file);
    }
    long all = total;
    AtomicLong moved = new AtomicLong();
    AtomicBoolean appears = new AtomicBoolean();
    BucketUpload upload =
        upload(
            merged.planId(),
            sent -> {
              if (stop.getAsBoolean() && !appears.get()) {
                throw new StoppedException();
              }
              progress.moved(moved.addAndGet(sent), all);
            });
    try {
      upload.abortUnfinished();
      for (Path file : files) {
        if (turn(file) == MANIFEST_TURN && !appears.getAndSet(true)) {
          allThere(upload, files); // once it appears, there is nothing to stop
        }
        upload.put(name(file), file);
      }
      upload.abortUnfinished(); // nothing is left of them, so this forgets them
    } catch (FileAlreadyExistsException e) {
      FileTree.delete(directory); // something else is there for good
      throw e;
    }
    removeCopy();
    return atItsPlace;
  }

  private static boolean isThere(Published.Model model, String planId) {
    return Manifest.read(model.directory())
        .filter(manifest -> manifest.plan().equals(planId))
        .isPresent();
  }

  /** All of it is at its place, so that it can not be removed is no failure. */
  private void removeCopy() {
    try {
      FileTree.delete(directory);
    } catch (IOException e) {
      LOG.warn(
          "{} is at its place, its copy {} could not be removed: {}",
          place,
          directory,
          e.toString());
    }
  }

  private Published atItsPlace(Published merged) {
    return new Published(
        merged.planId(),
        merged.models().stream()
            .map(
                model ->
                    new Published.Model(
                        place.resolve(directory.relativize(model.directory()).toString()),
                        model.manifest()))
            .toList(),
        false);
  }

  private String name(Path file) {
    return directory.relativize(file).toString();
  }

  private void allThere(BucketUpload upload, List<Path> files) throws IOException {
    for (Path file : files) {
      if (turn(file) != MANIFEST_TURN) {
        upload.check(name(file), file);
      }
    }
  }

  /** In the order in which they are sent. */
  private List<Path> files() throws IOException {
    try (var all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile)
          .sorted(Comparator.comparingInt(BucketDestination::turn).thenComparing(file -> file))
          .toList();
    }
  }

  private static int turn(Path file) {
    String name = String.valueOf(file.getFileName());
    if (name.endsWith(".safetensors")) {
      return 0;
    }
    return name.equals(Manifest.FILE) ? MANIFEST_TURN : name.equals("config.json") ? 2 : 1;
  }
}
