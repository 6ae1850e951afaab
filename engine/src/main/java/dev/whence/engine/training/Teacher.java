package dev.whence.engine.training;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A model that another one, the student, learns likelihoods from: not which text is right, but how
 * likely the teacher finds it, be it ever so unlikely. A proxy that scores in a target's stead has
 * to be near it just there, where a source is left out and the response becomes a surprise.
 *
 * <p>Their tokens may differ. What both split alike is told piece by piece: a piece is what lies
 * between two neighbouring places at which tokens of both end, and its loss is the sum over its
 * tokens. So a student with the same tokens is told each token's loss.
 *
 * <p>Related: knowledge distillation (Hinton, Vinyals and Dean 2015), which matches distributions;
 * this matches log-likelihoods of given texts, the only thing that leave-one-out scores are made
 * of.
 *
 * <p>It computes on a thread of its own and without help, so that its losses are the same bits
 * whoever else is at work.
 */
public final class Teacher implements AutoCloseable {
  /** Where less of the weight than this is told, the tokens of the two hardly ever meet. */
  private static final double LEAST_TOLD = 0.5;

  private final TrainableDecoder decoder;
  private final Tokenizer tokenizer;
  private final RowPacker packer;
  private final int threadsElsewhere;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread made = new Thread(task, "teacher");
            made.setDaemon(true);
            return made;
          });

  private Teacher(
      TrainableDecoder decoder, Tokenizer tokenizer, RowPacker packer, int threadsElsewhere) {
    this.decoder = decoder;
    this.tokenizer = tokenizer;
    this.packer = packer;
    this.threadsElsewhere = threadsElsewhere;
  }

  /**
   * A text to be taught.
   *
   * @param text that the student reads
   * @param encoding by the student's tokenizer
   * @param lossWeights by the student's tokens; what counts is taught
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Lesson(String text, Encoding encoding, float[] lossWeights) {}

  /** Tokens [from, to) of the student, and those of the teacher that say the same. */
  private record Piece(int from, int to, int ownFrom, int ownTo) {}

  /**
   * A teacher; it holds 4 bytes per parameter.
   *
   * @param files its tokenizer is used until the teacher is closed; they stay the caller's to close
   * @param packTokens of a forward, padding included
   * @throws EngineException of kind MODEL if the family is not known or the weights can not be
   *     read, ENVIRONMENT if native library, device or memory fails
   */
  public static Teacher of(ModelFiles files, EngineOptions options, int packTokens) {
    TrainableDecoder decoder = TrainableDecoder.frozen(files.config(), List.of(), options);
    boolean complete = false;
    try {
      decoder.load(files.weights());
      complete = true;
    } finally {
      if (!complete) {
        decoder.close();
      }
    }
    return new Teacher(
        decoder, files.tokenizer(), new RowPacker(packTokens), Trainer.threads(options));
  }

  /**
   * Examples for a student, in the order of the lessons. A piece counts if all of its tokens do,
   * and then as its first one does; what counts otherwise is left out.
   *
   * @throws EngineException of kind RECORD if a text is too long for this model; of kind MODEL if
   *     it finds a text infinitely unlikely or its losses are no numbers, or if its tokens end so
   *     seldom where the student's do that less than half of what counts can be told
   */
  public List<Example> teach(List<Lesson> lessons) {
    List<List<Piece>> pieces = new ArrayList<>();
    List<Example> own = new ArrayList<>();
    for (Lesson lesson : lessons) {
      Encoding encoding = tokenizer.encode(lesson.text());
      check(encoding);
      List<Piece> counted = counted(lesson, encoding);
      pieces.add(counted);
      own.add(read(encoding, counted));
    }
    checkShare(lessons, pieces);
    float[][] losses = losses(own);
    List<Example> examples = new ArrayList<>();
    for (int i = 0; i < losses.length; i++) {
      examples.add(taught(lessons.get(i), pieces.get(i), losses[i]));
    }
    return examples;
  }

  private void check(Encoding encoding) {
    int most = decoder.config().maxPositions();
    if (encoding.length() < 2 || encoding.length() - 1 > most) {
      throw new EngineException(
          Kind.RECORD,
          String.format(
              Locale.ROOT,
              "A text to be taught has %d tokens for the teacher, which reads 2 to %d.",
              encoding.length(),
              most + 1));
    }
  }

  /** The pieces all of whose tokens count. */
  private static List<Piece> counted(Lesson lesson, Encoding own) {
    int[] ends = lesson.encoding().ends();
    List<Piece> pieces = new ArrayList<>();
    int from = 0;
    int ownFrom = 0;
    int ownTo = 0;
    boolean counts = true;
    for (int i = 0; i < ends.length; i++) {
      counts &= lesson.lossWeights()[i] != 0;
      while (ownTo < own.length() && own.ends()[ownTo] <= ends[i]) {
        ownTo++;
      }
      // Tokens of one character share its range: the last of them ends it.
      boolean last = i + 1 == ends.length || ends[i + 1] > ends[i];
      if (last && ownTo > 0 && own.ends()[ownTo - 1] == ends[i]) {
        if (counts) {
          pieces.add(new Piece(from, i + 1, ownFrom, ownTo));
        }
        from = i + 1;
        ownFrom = ownTo;
        counts = true;
      }
    }
    return pieces;
  }

  private static Example read(Encoding own, List<Piece> pieces) {
    float[] weights = new float[own.length()];
    for (Piece piece : pieces) {
      // The first token is predicted by nothing, the student's first neither: no piece has it.
      Arrays.fill(weights, piece.ownFrom(), piece.ownTo(), 1);
    }
    return new Example(own.ids(), weights);
  }

  private static void checkShare(List<Lesson> lessons, List<List<Piece>> pieces) {
    double all = 0;
    double told = 0;
    for (int i = 0; i < pieces.size(); i++) {
      float[] weights = lessons.get(i).lossWeights();
      for (float weight : weights) {
        all += weight;
      }
      for (Piece piece : pieces.get(i)) {
        for (int token = piece.from(); token < piece.to(); token++) {
          told += weights[token];
        }
      }
    }
    if (told < LEAST_TOLD * all) {
      throw new EngineException(
          Kind.MODEL,
          String.format(
              Locale.ROOT,
              "The teacher can tell %.0f %% of what its student is to learn: its tokens hardly ever"
                  + " end where the student's do. Take a teacher with a tokenizer that is more"
                  + " alike.",
              100 * told / all));
    }
  }

  private float[][] losses(List<Example> own) {
    try {
      return CompletableFuture.supplyAsync(
              () -> {
                TorchRuntime.workAlone();
                return Trainer.tokenLosses(decoder, packer, own);
              },
              thread)
          .join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    }
  }

  /**
   * One example.
   *
   * @param losses by the teacher's tokens
   */
  private static Example taught(Lesson lesson, List<Piece> pieces, float[] losses) {
    float[] weights = new float[lesson.lossWeights().length];
    float[] told = new float[weights.length];
    Arrays.fill(told, Float.NaN);
    for (Piece piece : pieces) {
      double loss = 0;
      for (int token = piece.ownFrom(); token < piece.ownTo(); token++) {
        loss += losses[token];
      }
      if (!Double.isFinite(loss)) {
        throw new EngineException(
            Kind.MODEL,
            "The teacher's loss of a piece of text is " + loss + ": its weights are broken.");
      }
      for (int token = piece.from(); token < piece.to(); token++) {
        weights[token] = lesson.lossWeights()[token];
        told[token] = token == piece.from() ? (float) loss : Example.GOES_ON;
      }
    }
    return new Example(lesson.encoding().ids(), weights, told);
  }

  /** Waits for what is being computed. */
  @Override
  public void close() {
    thread.shutdown();
    boolean interrupted = false;
    for (boolean ended = false; !ended; ) {
      try {
        ended = thread.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    decoder.close();
    TorchRuntime.workTogether(threadsElsewhere);
  }
}
