package dev.whence.influence.stage;

import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.MissingShard;
import dev.whence.schemas.avro.ShardAnswer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.avro.specific.SpecificRecordBase;

/**
 * Makes results, and what is known of a query, small enough for the topics that they go to: a
 * record that a broker refuses would end the merger's thread, again and again. Excerpts go first,
 * then reasons of missing shards, then the less influential half of the documents, and so on; the
 * result says so. What no result would say goes before all of them. What is left without any is
 * bounded by what {@link StreamsValues} lets in.
 */
final class Fitting {
  static final String CODE = "CUT_TO_FIT";
  private static final String REASON =
      "Excerpts, reasons or documents were left out, for the result did not fit into a record.";

  private Fitting() {}

  /** Bytes in Avro, but for a header. */
  static int size(SpecificRecordBase record) {
    try {
      if (record instanceof Influence influence) {
        return influence.toByteBuffer().remaining();
      }
      if (record instanceof InfluenceMerge merge) {
        return merge.toByteBuffer().remaining();
      }
      throw new IllegalArgumentException(record.getSchema().getName());
    } catch (IOException e) {
      throw new UncheckedIOException("a record could not be written to memory", e);
    }
  }

  /** A result of at most so many bytes. */
  static Influence result(Influence result, int most) {
    if (size(result) <= most) {
      return result;
    }
    Influence.Builder next = said(Influence.newBuilder(result));
    next.setDocuments(withoutExcerpts(result.getDocuments()));
    if (size(next.build()) > most && result.getCoverage() != null) {
      next.setCoverage(
          InfluenceCoverage.newBuilder(result.getCoverage())
              .setMissing(
                  result.getCoverage().getMissing().stream()
                      .map(one -> MissingShard.newBuilder(one).setReason("").build())
                      .toList())
              .build());
    }
    while (size(next.build()) > most && !next.getDocuments().isEmpty()) {
      next.setDocuments(NamedDocuments.best(next.getDocuments(), next.getDocuments().size() / 4));
    }
    return next.build();
  }

  /**
   * What is known of a query that was opened, in at most so many bytes.
   *
   * @return empty if it can not be made to fit
   */
  static Optional<InfluenceMerge> state(InfluenceMerge merge, int most) {
    InfluenceOpening opening = merge.getOpen();
    if (opening == null || size(merge) <= most) {
      return Optional.of(merge);
    }
    InfluenceMerge.Builder next =
        InfluenceMerge.newBuilder(merge).setAnswers(withoutUnsaid(merge.getAnswers()));
    if (size(next.build()) <= most) {
      return Optional.of(next.build());
    }
    next.setOpen(
        InfluenceOpening.newBuilder(opening)
            .setEvent(said(Influence.newBuilder(opening.getEvent())).build())
            .build());
    next.setAnswers(
        next.getAnswers().stream()
            .map(one -> withDocuments(one, withoutExcerpts(one.getDocuments())))
            .toList());
    if (size(next.build()) > most) {
      next.setAnswers(next.getAnswers().stream().map(Fitting::withoutReasons).toList());
    }
    while (size(next.build()) > most
        && next.getAnswers().stream().anyMatch(one -> !one.getDocuments().isEmpty())) {
      next.setAnswers(
          next.getAnswers().stream()
              .map(
                  one ->
                      withDocuments(
                          one,
                          NamedDocuments.best(one.getDocuments(), one.getDocuments().size() / 4)))
              .toList());
    }
    InfluenceMerge fitting = next.build();
    return size(fitting) <= most ? Optional.of(fitting) : Optional.empty();
  }

  /** Whose answers they are, and notes after the first, are in no result. */
  private static List<InfluencePartial> withoutUnsaid(List<InfluencePartial> answers) {
    List<InfluencePartial> kept = new ArrayList<>();
    boolean noted = false;
    for (InfluencePartial answer : answers) {
      kept.add(
          InfluencePartial.newBuilder(answer)
              .setQueryId("")
              .setInstance("")
              .setNote(noted ? "" : answer.getNote())
              .build());
      noted |= !answer.getNote().isEmpty();
    }
    return kept;
  }

  private static Influence.Builder said(Influence.Builder result) {
    if (result.getReason().contains(REASON)) {
      return result;
    }
    return result
        .setReasonCode(result.getReasonCode().isEmpty() ? CODE : result.getReasonCode())
        .setReason(result.getReason().isEmpty() ? REASON : result.getReason() + " " + REASON);
  }

  private static List<InfluentialDocument> withoutExcerpts(List<InfluentialDocument> documents) {
    return documents.stream()
        .map(one -> InfluentialDocument.newBuilder(one).setExcerpt("").build())
        .toList();
  }

  private static InfluencePartial withDocuments(
      InfluencePartial answer, List<InfluentialDocument> documents) {
    return InfluencePartial.newBuilder(answer).setDocuments(documents).build();
  }

  private static InfluencePartial withoutReasons(InfluencePartial answer) {
    return InfluencePartial.newBuilder(answer)
        .setShards(
            answer.getShards().stream()
                .map(one -> ShardAnswer.newBuilder(one).setReason("").build())
                .toList())
        .build();
  }
}
