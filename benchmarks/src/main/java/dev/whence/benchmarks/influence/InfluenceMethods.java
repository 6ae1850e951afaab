package dev.whence.benchmarks.influence;

import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * All ways to say which documents drove a response, over one corpus and two stages of training.
 *
 * <p>Plain gradients are the limit of a large damping: (Lambda + lambda)^-1 is 1 / lambda then,
 * whatever Lambda is.
 */
final class InfluenceMethods {
  private static final Damping IDENTITY = Damping.absolute(1e9);

  private final TappedModel base;
  private final TappedModel chat;
  private final EkfacFactors pretraining;
  private final EkfacFactors fineTuning;
  private final List<CorpusDocument> corpus;
  private final BlockSketch sketch;
  private final Map<String, ResponseGradient> gradients = new HashMap<>();

  /** All arguments stay the caller's. */
  InfluenceMethods(
      TappedModel base,
      TappedModel chat,
      EkfacFactors pretraining,
      EkfacFactors fineTuning,
      List<CorpusDocument> corpus,
      BlockSketch sketch) {
    this.base = base;
    this.chat = chat;
    this.pretraining = pretraining;
    this.fineTuning = fineTuning;
    this.corpus = List.copyOf(corpus);
    this.sketch = sketch;
  }

  /** Has the next method pay for its gradients, as if it were the only one. */
  void forgetGradients() {
    gradients.clear();
  }

  private ResponseGradient gradient(TruthQuery query, Measure measure) {
    return gradients.computeIfAbsent(
        measure + " " + query.question().id(),
        key -> ResponseGradient.of(chat, chat.texts().conversation(query.answered()), measure));
  }

  /** EK-FAC in all its forms, with one damping for whitening and inverse. */
  List<DocumentScores> ekfac(Damping lambda, Damping alpha, Measure ofDocuments) {
    MultiStageQuery one = new MultiStageQuery(pretraining, Optional.empty(), base.matrices());
    MultiStageQuery two =
        new MultiStageQuery(pretraining, Optional.of(fineTuning), base.matrices());
    MultiStageQuery last = new MultiStageQuery(fineTuning, Optional.empty(), base.matrices());
    SketchedCorpus atBase = sketched(base, pretraining, lambda, ofDocuments);
    SketchedCorpus atChat = sketched(chat, fineTuning, lambda, ofDocuments);
    List<DocumentScores> all = new ArrayList<>();
    for (Measure measure : Measure.values()) {
      all.add(scores("EK-FAC, multi-stage", atBase, two, measure, alpha));
      all.add(scores("EK-FAC, pretraining alone", atBase, one, measure, alpha));
      all.add(scores("EK-FAC, at the fine-tuned model", atChat, last, measure, alpha));
    }
    List<DocumentScores> both = new ArrayList<>(all);
    for (DocumentScores method : all) {
      both.add(new RelativeScores((EkfacScores) method));
    }
    return both;
  }

  private EkfacScores scores(
      String name, SketchedCorpus vectors, MultiStageQuery query, Measure measure, Damping alpha) {
    return new EkfacScores(
        name + ", " + measure.label(), vectors, query, measure, alpha, this::gradient);
  }

  /** What EK-FAC is to be measured against. */
  List<DocumentScores> baselines(List<String> texts) {
    MultiStageQuery query = new MultiStageQuery(fineTuning, Optional.empty(), base.matrices());
    SketchedCorpus plain = sketched(chat, fineTuning, IDENTITY, Measure.LOG_LIKELIHOOD);
    SketchedCorpus logOdds = sketched(chat, fineTuning, IDENTITY, Measure.LOG_ODDS);
    EkfacScores product = product("gradient dot product", plain, query);
    EkfacScores ofLogOdds = product("gradient dot product, documents by log-odds", logOdds, query);
    return List.of(
        product,
        new RelativeScores("gradient cosine", product),
        ofLogOdds,
        new RelativeScores("gradient cosine, documents by log-odds", ofLogOdds),
        new TrakScores(
            plain,
            asked ->
                query
                    .precondition(
                        gradient(asked, Measure.LOG_LIKELIHOOD),
                        IDENTITY,
                        IDENTITY,
                        IDENTITY,
                        sketch)
                    .sketch()),
        new RepresentationScores(chat, corpus),
        new Bm25Scores(texts));
  }

  private EkfacScores product(String name, SketchedCorpus vectors, MultiStageQuery query) {
    return new EkfacScores(name, vectors, query, Measure.LOG_LIKELIHOOD, IDENTITY, this::gradient);
  }

  private SketchedCorpus sketched(
      TappedModel model, EkfacFactors factors, Damping damping, Measure measure) {
    return SketchedCorpus.of(model, factors, damping, sketch, measure, corpus);
  }
}
