"""The levels of DICOM to which HealthImaging normalizes attributes: patient, study, series and instance."""

from __future__ import annotations

import functools
import re

# The attributes of the modules of PS3.3: Patient, Clinical Trial Subject.
_PATIENT = """
PatientName PatientID IssuerOfPatientID TypeOfPatientID IssuerOfPatientIDQualifiersSequence
SourcePatientGroupIdentificationSequence GroupOfPatientsIdentificationSequence PatientBirthDate
PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar
PatientSex QualityControlSubject PatientBirthTime OtherPatientIDs OtherPatientIDsSequence OtherPatientNames
ReferencedPatientSequence ReferencedPatientPhotoSequence EthnicGroup PatientComments
PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence
BreedRegistrationSequence StrainDescription StrainNomenclature StrainCodeSequence
StrainAdditionalInformation StrainStockSequence GeneticModificationsSequence ResponsiblePerson
ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod
DeidentificationMethodCodeSequence ClinicalTrialSponsorName ClinicalTrialProtocolID
ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSubjectID
ClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName
ClinicalTrialProtocolEthicsCommitteeApprovalNumber
"""

# General Study, Patient Study, Clinical Trial Study.
_STUDY = """
StudyInstanceUID StudyDate StudyTime ReferringPhysicianName ReferringPhysicianIdentificationSequence
ConsultingPhysicianName ConsultingPhysicianIdentificationSequence StudyID AccessionNumber
IssuerOfAccessionNumberSequence StudyDescription PhysiciansOfRecord
PhysiciansOfRecordIdentificationSequence NameOfPhysiciansReadingStudy
PhysiciansReadingStudyIdentificationSequence RequestingService RequestingServiceCodeSequence
ReferencedStudySequence ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence
AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight
PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientSizeCodeSequence MedicalAlerts
Allergies SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation AdditionalPatientHistory
AdmissionID IssuerOfAdmissionIDSequence ReasonForVisit ReasonForVisitCodeSequence ServiceEpisodeID
ServiceEpisodeDescription IssuerOfServiceEpisodeIDSequence PatientSexNeutered ClinicalTrialTimePointID
ClinicalTrialTimePointDescription LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType
ConsentForClinicalTrialUseSequence
"""

# General Series, Clinical Trial Series, General Equipment, Frame of Reference.
_SERIES = """
Modality SeriesInstanceUID SeriesNumber Laterality SeriesDate SeriesTime PerformingPhysicianName
PerformingPhysicianIdentificationSequence ProtocolName SeriesDescription SeriesDescriptionCodeSequence
OperatorsName OperatorIdentificationSequence ReferencedPerformedProcedureStepSequence
RelatedSeriesSequence BodyPartExamined PatientPosition SmallestPixelValueInSeries
LargestPixelValueInSeries RequestAttributesSequence PerformedProcedureStepID
PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepEndDate
PerformedProcedureStepEndTime PerformedProcedureStepDescription PerformedProtocolCodeSequence
CommentsOnThePerformedProcedureStep AnatomicalOrientationType TreatmentSessionUID
ClinicalTrialCoordinatingCenterName ClinicalTrialSeriesID ClinicalTrialSeriesDescription Manufacturer
InstitutionName InstitutionAddress StationName InstitutionalDepartmentName
InstitutionalDepartmentTypeCodeSequence ManufacturerModelName DeviceSerialNumber SoftwareVersions GantryID
DeviceUID FrameOfReferenceUID PositionReferenceIndicator
"""

LEVEL_OF_KEYWORD: dict[str, str] = {
    keyword: level
    for level, keywords in {"Patient": _PATIENT, "Study": _STUDY, "Series": _SERIES}.items()
    for keyword in keywords.split()
}
"""The level of each keyword that does not belong to an instance."""


@functools.cache
def level_of(keyword: str) -> str | None:
    """
    Give the level of an attribute.

    :param keyword: The keyword of the attribute, such as ``PatientName``.
    :return: Patient, Study, Series or Instance; None where DICOM has no attribute with this keyword.
    """
    if keyword in LEVEL_OF_KEYWORD:
        return LEVEL_OF_KEYWORD[keyword]
    # Not at the top: pydicom takes a third of a second, and most updates do not need its dictionary.
    from pydicom.datadict import tag_for_keyword

    return None if tag_for_keyword(keyword) is None else "Instance"


def is_private(keyword: str) -> bool:
    """Check whether a name is the tag of a private attribute, such as ``00091001``: its group is odd."""
    return re.fullmatch(r"[0-9A-Fa-f]{3}[13579BDFbdf][0-9A-Fa-f]{4}", keyword) is not None
