package dev.whence.influence.ekfac;

import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.SideBySide;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.model.TappedModel;
import java.io.InterruptedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;

/**
 * The files of complete factors. A thread of their own checks them and reads Lambda, each file
 * once, while their owner loads the model that is to hold the eigenvectors. One thread owns this.
 */
public final class FactorFiles implements AutoCloseable {
  private final Path directory;
  private final ExecutorService reader;
  private final CompletableFuture<ArrayFile> lambda;
  private final CompletableFuture<ArrayFile> eigenvectors;
  private final CompletableFuture<Eigenvalues> values;

  private FactorFiles(Path directory, Path lambdaPath) {
    this.directory = directory;
    this.reader =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread thread = new Thread(task, "factor files");
              thread.setDaemon(true);
              return thread;
            });
    this.lambda = CompletableFuture.supplyAsync(() -> ArrayFile.open(lambdaPath), reader);
    this.values = lambda.thenApplyAsync(Eigenvalues::read, reader);
    this.eigenvectors =
        CompletableFuture.supplyAsync(
            () -> ArrayFile.open(directory.resolve(EkfacFactors.EIGEN_FILE)), reader);
  }

  /**
   * Begins to read a directory that {@link FactorsJob} has completed.
   *
   * @throws InfluenceException that names the file if there is no Lambda; what else is wrong is
   *     thrown where it is asked for
   */
  public static FactorFiles open(Path directory) {
    return new FactorFiles(directory, EkfacFactors.complete(directory));
  }

  /**
   * What the factors are of; waits until all of Lambda's file is checked.
   *
   * @throws InfluenceException that names the file if it is cut short or altered
   */
  public EkfacFactors.Stage stage() {
    return FactorHeader.stage(await(lambda).header());
  }

  /**
   * The factors.
   *
   * @param matrices holds eigenvectors, in fp64
   * @throws InfluenceException that names the file if one is missing, cut short, altered, or not of
   *     the other's making
   */
  public EkfacFactors inDouble(Matrices matrices) {
    return read(matrices, n -> matrices.zeros(n, n));
  }

  /**
   * As {@link #inDouble}, but with eigenvectors in fp32, as {@link TokenRotation} takes them: half
   * the memory. Without {@link EkfacFactors#rotate}, {@link EkfacFactors#rotateBack} and what else
   * wants them in fp64.
   */
  public EkfacFactors inSingle(Matrices matrices) {
    return read(matrices, n -> matrices.room(n, n));
  }

  /**
   * As {@link #inSingle}, but in bf16 where the model's own products are, too: {@link
   * TokenRotation} rounds what it turns as well then.
   */
  public EkfacFactors like(TappedModel model) {
    Matrices matrices = model.matrices();
    return model.isRounded() ? read(matrices, n -> matrices.roundedRoom(n, n)) : inSingle(matrices);
  }

  private EkfacFactors read(Matrices matrices, IntFunction<Matrix> room) {
    Eigenvalues known = await(values);
    ArrayFile file = await(eigenvectors);
    if (!known.eigenvectors().equals(file.checksum())) {
      throw new InfluenceException(
          await(lambda).path()
              + " is of other eigenvectors than "
              + EkfacFactors.EIGEN_FILE
              + " beside it.");
    }
    int together = matrices.onGpu() ? 1 : TorchRuntime.threads();
    if (together == 1) {
      return new EkfacFactors(known, Eigenbases.read(known.layers(), file, room, Optional.empty()));
    }
    try (SideBySide threads = new SideBySide(together, together)) {
      return new EkfacFactors(
          known, Eigenbases.read(known.layers(), file, room, Optional.of(threads)));
    }
  }

  private <T> T await(CompletableFuture<T> coming) {
    try {
      if (Thread.interrupted()) { // also where nothing is to be waited for
        throw new InterruptedException();
      }
      return coming.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InfluenceException(
          directory + " could not be read (interrupted).", new InterruptedIOException());
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException known) {
        throw known;
      }
      if (e.getCause() instanceof Error error) {
        throw error;
      }
      throw new IllegalStateException(e);
    }
  }

  /** Ends the reading, wherever it is. Factors that were read stay. */
  @Override
  public void close() {
    reader.shutdownNow();
    try {
      boolean unused = reader.awaitTermination(10, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    for (CompletableFuture<ArrayFile> file : List.of(lambda, eigenvectors)) {
      if (file.isDone() && !file.isCompletedExceptionally()) {
        file.join().close();
      }
    }
  }
}
