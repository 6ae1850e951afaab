package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.files.Sha256;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.model.TappedModel;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Two workers compute factors, each in JVMs of its own that are killed (SIGKILL) in the middle of
 * their passes and started again with the same arguments, as {@code whence influence factors} is.
 */
final class KilledFactors {
  private static final int WORKERS = 2;
  private static final int DOCUMENTS = 120;
  private static final String COVARIANCES = "covariances";
  private static final String LAMBDA = "Lambda";

  /** Exit status of a worker that waits for the other one's parts. */
  private static final int WAITS = 3;

  /** After a step was told of, its state is written: some are killed before, in, or behind that. */
  private static final int LATEST_MILLIS = 40;

  /** No run takes so long; one that hangs ends by a signal, which fails the test. */
  private static final int LONGEST_MINUTES = 5;

  private final Path directory;
  private final Path corpus;

  KilledFactors(Path directory) throws IOException {
    this.directory = directory;
    this.corpus =
        SampleCorpus.write(
            directory.resolve("corpus.jsonl"), SampleCorpus.tiny().subList(0, DOCUMENTS));
  }

  /** A worker: arguments are corpus, output, part. It tells of each step. */
  public static void main(String[] arguments) throws IOException {
    boolean complete;
    try (TappedModel model = TinyFactors.base()) {
      complete =
          new FactorsJob(
                  model,
                  new CorpusFile(Path.of(arguments[0])),
                  Path.of(arguments[1]),
                  TinyFactors.OPTIONS
                      .withPackTokens(16)
                      .withSaveEvery(Duration.ZERO)
                      .withShare(new Share(Integer.parseInt(arguments[2]), WORKERS)))
              .run(new Told());
    }
    System.exit(complete ? 0 : WAITS);
  }

  private static final class Told implements FactorsJob.Listener {
    @Override
    public void pass(String pass, long bytesDone, Progress progress) {
      System.out.println("step " + pass);
    }

    @Override
    public void note(String sentence) {
      System.out.println("note " + sentence);
    }
  }

  /**
   * What became of a run.
   *
   * @param status it ended with; below 0: it was killed
   * @param told its lines
   */
  private record Run(int status, List<String> told) {
    boolean killed() {
      return status < 0;
    }

    boolean reached(String pass) {
      return told.contains("step " + pass);
    }
  }

  /**
   * Kills workers in each of the two passes, and compares every file with that of workers that
   * nobody disturbed.
   *
   * @param kills in each pass, at most: how many steps there are is the corpus' matter
   * @return runs that went on from what was saved before a kill
   */
  int killAndGoOn(int kills, long seed) throws Exception {
    Path undisturbed = directory.resolve("undisturbed");
    boolean complete = false;
    while (!complete) {
      for (int part = 1; part <= WORKERS && !complete; part++) {
        complete = run(undisturbed, part, "", 0, 0).status() == 0;
      }
    }
    Path killed = directory.resolve("killed");
    Random random = new Random(seed);
    Map<String, Integer> killedIn = new TreeMap<>(Map.of(COVARIANCES, 0, LAMBDA, 0));
    String pass = COVARIANCES;
    int goneOn = 0;
    complete = false;
    while (!complete) {
      for (int part = 1; part <= WORKERS && !complete; part++) {
        Run run = run(killed, part, pass, 1 + random.nextInt(3), random.nextInt(LATEST_MILLIS));
        complete = run.status() == 0;
        goneOn += run.told().stream().anyMatch(line -> line.contains("going on after")) ? 1 : 0;
        if (run.killed()) {
          killedIn.merge(pass, 1, Integer::sum);
        }
        if (pass.equals(COVARIANCES) && (killedIn.get(pass) >= kills || run.reached(LAMBDA))) {
          pass = LAMBDA;
        } else if (pass.equals(LAMBDA) && killedIn.get(pass) >= kills) {
          pass = "";
        }
      }
    }
    assertThat(killedIn).as("kills by pass").allSatisfy((name, n) -> assertThat(n).isPositive());
    assertThat(contents(killed)).isEqualTo(contents(undisturbed));
    try (TappedModel model = TinyFactors.base();
        EkfacFactors factors = EkfacFactors.read(killed, model.matrices())) {
      assertThat(factors.stage().modelDigest()).isEqualTo(model.digest());
    }
    return goneOn;
  }

  /** Runs a worker, and kills it a moment after it told of so many steps of a pass. */
  private Run run(Path output, int part, String pass, int killAfter, int millis) throws Exception {
    Path log = directory.resolve("worker.log");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dai.djl.offline=true",
                "-DOPT_OUT_TRACKING=true",
                "-cp",
                System.getProperty("java.class.path"),
                KilledFactors.class.getName(),
                corpus.toString(),
                output.toString(),
                String.valueOf(part))
            .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
            .start();
    CompletableFuture.delayedExecutor(LONGEST_MINUTES, TimeUnit.MINUTES)
        .execute(process::destroyForcibly);
    List<String> told = new ArrayList<>();
    int steps = 0;
    boolean killed = false;
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        told.add(line);
        steps += line.equals("step " + pass) ? 1 : 0;
        if (steps > 0 && steps >= killAfter && process.isAlive() && !killed) {
          TimeUnit.MILLISECONDS.sleep(millis);
          // Process.destroyForcibly would close what it has still to tell.
          killed = process.toHandle().destroyForcibly() && process.waitFor() > 128;
        }
      }
    } finally {
      process.destroyForcibly();
    }
    int status = process.waitFor();
    if (killed) {
      return new Run(-1, told);
    }
    assertThat(status).as(() -> "worker " + part + ", see " + log).isIn(0, WAITS);
    return new Run(status, told);
  }

  /** SHA-256 of each file by name, without locks. */
  private static Map<String, String> contents(Path directory) throws IOException {
    Map<String, String> contents = new TreeMap<>();
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.filter(one -> !one.toString().endsWith(".lock")).toList()) {
        contents.put(String.valueOf(file.getFileName()), Sha256.of(Files.readAllBytes(file)));
      }
    }
    return contents;
  }
}
